"""Builds featward's container images from Debian's packages and our wheel, without a container engine.

It needs Debian's release that the images are made of (`apt-get`, `dpkg-deb`), Rust and pip, asks no
registry of images for anything, and needs no root. `python -m image_builder --help` says how.
"""
