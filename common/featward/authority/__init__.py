"""The protocol by which a CA is looked after."""
