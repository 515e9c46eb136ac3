"""What hears it: speech encoders of every kind behind one interface, loaded by `load.load_encoder`."""
