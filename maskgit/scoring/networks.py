"""The networks that scores are computed with, by name; this module loads no torch."""

NETWORK_LABELS = {
    "inception": "Inception",
    "efficientnet_lite0": "EfficientNet-Lite0",
    "efficientnet_lite2": "EfficientNet-Lite2",
}

EXTRACTORS = ("auto", *NETWORK_LABELS)  # what `maskgit.scoring.features.choose_extractor` takes
