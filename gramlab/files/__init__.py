"""Files: whole or absent when written, never trusted when read.

``whole``
    Files that appear whole or not at all, folders for output, tables, and what may be read of what
    somebody else put there.
``tensors``
    ``.safetensors``: features in one file, read or mapped, held against two checksums.
``shards``
    Folders of feature shards: written by one, resumed, verified, quarantined.
``sources``
    Features by name, file or folder.
``matrices``
    Small matrices of numbers, such as of label noise.
"""
