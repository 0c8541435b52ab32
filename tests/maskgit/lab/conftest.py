import pytest
import torch

from maskgit.lab.tokenizer import LabVQGAN
from maskgit.lab.transformer import LabTransformer


@pytest.fixture(scope="session")
def lab_models():
    """As `models`, but in the lab's layout: neither of them sees pixels."""
    torch.manual_seed(0)
    channels = {"enc_channels": [32] * 6, "dec_channels": [32] * 5}
    tokenizer = LabVQGAN(**channels, latent_dim=4, num_codebook_vectors=32).eval()
    transformer = LabTransformer(32, dim=16, heads=2, layers=1, hidden_dim=16)
    for parameter in transformer.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return tokenizer, transformer
