"""What would be loaded: the files of a version, wherever they lie, hashed and watched."""
