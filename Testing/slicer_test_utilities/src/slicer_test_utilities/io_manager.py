"""`slicer.app.coreIOManager()`: reads and writes nodes and scenes with Slicer's storage nodes."""

from __future__ import annotations

import os
from typing import Any

import slicer

_READERS = {
    "VolumeFile": ("vtkMRMLScalarVolumeNode", "vtkMRMLVolumeArchetypeStorageNode"),
    "SegmentationFile": ("vtkMRMLSegmentationNode", "vtkMRMLSegmentationStorageNode"),
    "TextFile": ("vtkMRMLTextNode", "vtkMRMLTextStorageNode"),
    "TableFile": ("vtkMRMLTableNode", "vtkMRMLTableStorageNode"),
    "TransformFile": ("vtkMRMLTransformNode", "vtkMRMLTransformStorageNode"),
    "ModelFile": ("vtkMRMLModelNode", "vtkMRMLModelStorageNode"),
    "MarkupsFile": ("vtkMRMLMarkupsFiducialNode", "vtkMRMLMarkupsJsonStorageNode"),
    "ColorTableFile": ("vtkMRMLColorTableNode", "vtkMRMLColorTableStorageNode"),
}
_EXTENSIONS = {
    ".seg.nrrd": "SegmentationFile",
    ".nrrd": "VolumeFile",
    ".nhdr": "VolumeFile",
    ".nii.gz": "VolumeFile",
    ".nii": "VolumeFile",
    ".mha": "VolumeFile",
    ".mhd": "VolumeFile",
    ".txt": "TextFile",
    ".json": "TextFile",
    ".csv": "TableFile",
    ".tsv": "TableFile",
    ".h5": "TransformFile",
    ".tfm": "TransformFile",
    ".vtp": "ModelFile",
    ".stl": "ModelFile",
    ".ctbl": "ColorTableFile",
    ".mrb": "SceneFile",
    ".mrml": "SceneFile",
}
_WRITER_FORMATS = ["NRRD (.nrrd)", "NIfTI (.nii.gz)", "NIfTI (.nii)", "MetaImage (.mha)", "Segmentation (.seg.nrrd)"]


class IOManager:
    """The part of qSlicerCoreIOManager that `slicer.util` uses."""

    def fileType(self, file_name: str) -> str:
        return _EXTENSIONS.get(self.extractKnownExtension(file_name, None), "NoFile")

    def extractKnownExtension(self, file_name: str, node: Any) -> str:
        name = str(file_name).lower()
        known = [extension for extension in _EXTENSIONS if name.endswith(extension)]
        return max(known, key=len) if known else os.path.splitext(name)[1]

    def fileWriterExtensions(self, node: Any) -> tuple[str, ...]:
        return tuple(_WRITER_FORMATS)

    def fileWriterFileType(self, node: Any, *_: Any) -> str:
        return "SceneFile" if isinstance(node, slicer.vtkMRMLScene) else ""

    def addDefaultStorageNode(self, node: Any) -> None:
        node.AddDefaultStorageNode()

    def loadNodes(self, file_type: str, properties: dict, loaded: Any = None, messages: Any = None) -> bool:
        if file_type == "SceneFile":
            return self._load_scene(properties)
        if file_type not in _READERS:
            raise NotImplementedError(f"no reader for file type '{file_type}' in the test host")
        node = _read(file_type, properties)
        if node is not None and loaded is not None:
            loaded.AddItem(node)
        return node is not None

    def loadScene(self, file_name: str, clear: bool = True) -> bool:
        return self.loadNodes("SceneFile", {"fileName": file_name, "clear": clear})

    def saveNodes(self, file_type: str, properties: dict, messages: Any = None) -> bool:
        if file_type == "SceneFile":
            return self._save_scene(str(properties["fileName"]))
        node = slicer.mrmlScene.GetNodeByID(properties["nodeID"])
        node.AddDefaultStorageNode()
        storage = node.GetStorageNode()
        storage.SetFileName(str(properties["fileName"]))
        storage.SetUseCompression(int(properties.get("useCompression", 1)))
        return bool(storage.WriteData(node))

    def saveScene(self, file_name: str, *_: Any) -> bool:
        return self._save_scene(file_name)

    def exportNodes(self, node_ids: Any, file_names: Any, properties: dict, harden: bool, messages: Any) -> bool:
        """Writes with a storage node of its own, so the node's storage stays as it is."""
        for node_id, file_name in zip(node_ids, file_names, strict=True):
            node = slicer.mrmlScene.GetNodeByID(node_id)
            storage = node.CreateDefaultStorageNode()
            storage.SetFileName(str(file_name))
            storage.SetUseCompression(int(properties.get("useCompression", 1)))
            if harden and node.GetParentTransformNode() is not None:
                raise NotImplementedError("world=True needs a hardened copy; the test host has none")
            if not storage.WriteData(node):
                return False
        return True

    def _load_scene(self, properties: dict) -> bool:
        scene, file_name = slicer.mrmlScene, str(properties["fileName"])
        if file_name.lower().endswith(".mrb"):
            _ensure_cache(scene)
            return bool(scene.ReadFromMRB(file_name, bool(properties.get("clear", False)), None))
        scene.SetURL(file_name)
        return bool(scene.Connect() if properties.get("clear", False) else scene.Import())

    def _save_scene(self, file_name: str) -> bool:
        scene = slicer.mrmlScene
        if file_name.lower().endswith(".mrb"):
            return bool(scene.WriteToMRB(file_name, None))
        if file_name.lower().endswith(".mrml"):
            scene.SetURL(file_name)
            return bool(scene.Commit())
        return bool(slicer.app.applicationLogic().SaveSceneToSlicerDataBundleDirectory(file_name, None))


def _ensure_cache(scene: Any) -> None:
    """Bundles are unpacked in the cache folder."""
    if scene.GetDataIOManager() is None:
        manager = slicer.vtkDataIOManager()
        manager.SetCacheManager(slicer.vtkCacheManager())
        folder = os.path.join(slicer.app.temporaryPath, "RemoteIO")
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, ".slicer-cache"), "w"):
            pass  # the sign that Slicer puts into a cache folder of its own; without it there is a warning
        manager.GetCacheManager().SetRemoteCacheDirectory(folder)
        scene.SetDataIOManager(manager)


def _read(file_type: str, properties: dict) -> Any:
    node_class, storage_class = _READERS[file_type]
    if file_type == "VolumeFile" and properties.get("labelmap"):
        node_class = "vtkMRMLLabelMapVolumeNode"
    file_name = str(properties["fileName"])
    scene = slicer.mrmlScene
    name = properties.get("name") or os.path.basename(file_name).split(".")[0]
    node = scene.AddNewNodeByClass(node_class, scene.GenerateUniqueName(name))
    storage = scene.AddNewNodeByClass(storage_class)
    storage.SetFileName(file_name)
    if file_type == "VolumeFile":
        storage.SetSingleFile(bool(properties.get("singleFile", True)))
    if not storage.ReadData(node):
        scene.RemoveNode(node)
        scene.RemoveNode(storage)
        return None
    node.SetAndObserveStorageNodeID(storage.GetID())
    if node.IsA("vtkMRMLDisplayableNode"):
        node.CreateDefaultDisplayNodes()
    return node
