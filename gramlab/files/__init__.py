"""Files: whole or absent when written, never trusted when read.

``whole``
    Files that appear whole or not at all, folders for output, what may be read of what somebody
    else put there, and how a file is called damaged.
``tensors``
    ``.safetensors``: features in one file, read or mapped, held against two checksums.
``shards``
    Folders of feature shards with a manifest, and how they are read and verified.
``writer``
    Such folders changed: written, resumed, locked, quarantined.
``sources``
    Features by name, file or folder.
"""
