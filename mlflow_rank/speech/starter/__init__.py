"""The starter corpus: synthetic speech and sounds made on first use, so that the first run needs no download.

It is synthetic (formant synthesis by libespeak-ng and numpy): good for trying every command and for tests whose truth
is known, never a substitute for recordings of people.
"""
