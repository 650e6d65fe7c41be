"""What featward knows of Feast.

Reading a registry, writing it as a FeatureSet, and telling what changed.
"""
