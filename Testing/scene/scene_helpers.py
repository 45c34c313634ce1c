"""Volumes and segmentations for the tests of the scene."""

import numpy as np
from MedUnlearnableLib.files.samples import synthetic_ct


def matrix(rotation_deg=0.0, spacing=(1.0, 1.0, 2.0), origin=(0.0, 0.0, 0.0), shear=0.0, flip=(1, 1, 1)):
    """IJK to RAS: rotated about two axes, sheared, flipped."""
    a = np.radians(rotation_deg)
    about_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    result = np.eye(4)
    result[:3, :3] = (
        about_x @ about_z @ np.array([[1, 0, 0], [0, 1, shear], [0, 0, 1]]) @ np.diag(np.multiply(spacing, flip))
    )
    result[:3, 3] = origin
    return result


def add_volume(array, ijk_to_ras=None, name="CT"):
    import slicer.util

    ijk_to_ras = np.eye(4) if ijk_to_ras is None else ijk_to_ras
    node_class = "vtkMRMLScalarVolumeNode" if array.ndim == 3 else "vtkMRMLVectorVolumeNode"
    return slicer.util.addVolumeFromArray(array, ijk_to_ras, name, node_class)


def add_segmentation(volume, **masks):
    import slicer
    import slicer.util

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "segments")
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    for name, mask in masks.items():
        node.GetSegmentation().AddEmptySegment(name, name)
        slicer.util.updateSegmentBinaryLabelmapFromArray(mask.astype(np.uint8), node, name, volume)
    return node


def ct_with_segments(ijk_to_ras=None, shape=(10, 40, 44)):
    sample = synthetic_ct(shape)
    volume = add_volume(sample.image, matrix() if ijk_to_ras is None else ijk_to_ras)
    return volume, add_segmentation(volume, organ=sample.labels != 0, lesion=sample.labels == 2)


def voxels(node):
    import slicer.util

    return slicer.util.arrayFromVolume(node)
