"""Frames: stored bytes become samples, samples become pictures.

What happens here: the Image Pixel attributes are read and checked against every bound before anything is allocated
(PS3.3 §C.7.6.3), frames are decoded to arrays of (rows, columns, samples) by a registry keyed by transfer syntax
(PS3.5 §8, Annex A), colours become RGB (PS3.3 §C.7.6.3.1.2), grey values go through modality, VOI and presentation
look-up (PS3.3 §C.11, PS3.4 §N.2), pictures are resized and encoded. What never happens here: input or output, threads,
waiting; who calls chooses the thread.
"""
