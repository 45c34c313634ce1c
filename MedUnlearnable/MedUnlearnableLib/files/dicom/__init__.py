"""DICOM with pydicom: series folders and single images in and out, segmentations and contours as labels.

Everything is done to stored values; what a slope and an intercept make of them is never written back.
"""
