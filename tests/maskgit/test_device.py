import torch
from torch import nn

from maskgit.device import compiled


def test_on_a_processor_nothing_is_compiled():
    network = nn.Linear(2, 2)
    assert compiled(network, torch.device("cpu")) is network
