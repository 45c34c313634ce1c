"""Under which conditions an attacker trains: recipes, defenses, clean cases, architectures, most informative first."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

#: What an attacker trains on; the test images are always clean originals of other cases.
CLEAN, PROTECTED, LABEL_FREE = "clean", "protected", "label-free"
ARMS = (PROTECTED, CLEAN, LABEL_FREE)
_OF_TRANSFORMERS = 1e-3  # learning rate; that of convolutions is too high for them


@dataclass(frozen=True)
class Condition:
    """How an attacker differs from the usual one. `name` completes "holds against ..."."""

    name: str
    recipe: str
    defense: str = "none"
    clean_share: float = 0.0
    adversarial_epsilon: float = 0.0
    architecture: str = "unet"
    pretrained: bool = False
    volumes: bool = False
    learning_rate: float | None = None  # None: that of all
    regularized: bool = False  # classifiers only

    @property
    def cost_class(self) -> str:
        """Conditions of one class take the same time a step."""
        seen = "volumes" if self.volumes else "slices"
        return f"{self.architecture} {self.recipe} {'adversarial' if self.adversarial_epsilon else 'usual'} {seen}"


def has_monai() -> bool:
    """Whether MONAI's networks can be attackers."""
    return importlib.util.find_spec("monai") is not None


def segmentation_conditions(pretrained: bool, volumes: bool = False) -> tuple[Condition, ...]:
    """`pretrained`: whether weights are given; `volumes`: whether the cases are some. Some networks need MONAI."""
    return (
        Condition("training from scratch", "plain"),
        Condition("blur", "plain", "blur0.8"),
        Condition("strong augmentation (nnU-Net's)", "nnunet"),
        *_of_volumes("plain", "unet", volumes),
        *_pretrained("plain", "unet", pretrained),
        Condition("resampling to 0.7", "plain", "resample0.7"),
        Condition("25 % clean cases", "plain", clean_share=0.25),
        Condition("JPEG 50", "plain", "jpeg50"),
        *_rare_conditions("plain", "unet"),
        *_of_monai(
            Condition("an Attention U-Net", "plain", architecture="attention_unet"),
            Condition("a SegResNet", "plain", architecture="segresnet"),
            Condition("MONAI's U-Net", "plain", architecture="monai_unet"),
            Condition("a UNETR", "plain", architecture="unetr", learning_rate=_OF_TRANSFORMERS),
        ),
    )


def class_conditions(pretrained: bool, volumes: bool = False) -> tuple[Condition, ...]:
    """As `segmentation_conditions`."""
    return (
        Condition("training from scratch", "shift_flip", architecture="cnn"),
        Condition("standard augmentation", "standard", architecture="cnn"),
        Condition("regularized training", "shift_flip", architecture="cnn", regularized=True),
        Condition("blur", "shift_flip", "blur0.8", architecture="cnn"),
        *_of_volumes("shift_flip", "cnn", volumes),
        *_pretrained("shift_flip", "cnn", pretrained),
        Condition("JPEG 10", "shift_flip", "jpeg10", architecture="cnn"),
        Condition("resampling to 0.7", "shift_flip", "resample0.7", architecture="cnn"),
        Condition("25 % clean cases", "shift_flip", clean_share=0.25, architecture="cnn"),
        Condition("JPEG 50", "shift_flip", "jpeg50", architecture="cnn"),
        Condition("RandAugment", "randaugment", architecture="cnn"),
        *_rare_conditions("shift_flip", "cnn"),
        Condition("a ResNet-18", "shift_flip", architecture="resnet18"),
        Condition("a vision transformer", "shift_flip", architecture="vit", learning_rate=_OF_TRANSFORMERS),
        *_of_monai(Condition("a DenseNet-121", "shift_flip", architecture="densenet121")),
    )


def _pretrained(recipe: str, architecture: str, given: bool) -> tuple[Condition, ...]:
    condition = Condition("a pretrained start", recipe, architecture=architecture, pretrained=True)
    return (condition,) if given else ()


def _of_monai(*conditions: Condition) -> tuple[Condition, ...]:
    return conditions if has_monai() else ()


def _of_volumes(recipe: str, architecture: str, given: bool) -> tuple[Condition, ...]:
    condition = Condition("a network for volumes", recipe, architecture=architecture, volumes=True)
    return (condition,) if given else ()


def _rare_conditions(recipe: str, architecture: str) -> tuple[Condition, ...]:
    return (
        Condition("a narrow intensity window", recipe, "narrow_window", architecture=architecture),
        Condition("6 bits", recipe, "bits6", architecture=architecture),
        Condition("a median filter", recipe, "median3", architecture=architecture),
        Condition("adversarial training", recipe, adversarial_epsilon=2 / 255, architecture=architecture),
        Condition("50 % clean cases", recipe, clean_share=0.5, architecture=architecture),
        Condition("a wide intensity window", recipe, "wide_window", architecture=architecture),
        Condition("clipped z-scores", recipe, "z_score", architecture=architecture),
        Condition("JPEG 90", recipe, "jpeg90", architecture=architecture),
    )
