"""Necks made of a folder of surface meshes."""
