"""Make a tokenizer of a model that other code has trained.

SOURCE is the folder of a diffusers VQModel (config.json and diffusion_pytorch_model.safetensors), its
owner/name on the Hugging Face Hub, or a checkpoint of taming-transformers' or latent-diffusion's VQModel or
GumbelVQ, whose YAML --config then names. Every weight must find its place. Checkpoints are read as tensors
alone: one that holds other Python objects is refused, never run. The result is a tokenizer folder like one
trained here: codebook, evaluate, reconstruct, encode and fit-generator take it.

Example:
  regvq import vqgan/last.ckpt --config vqgan/model.yaml --output runs/vqgan
"""

import argparse
from pathlib import Path

from regvq import hub
from regvq.cli.terminal import working
from regvq.errors import RegvqError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.add_argument("source", type=Path, metavar="SOURCE", help="folder of a VQModel, or a checkpoint")
    parser.add_argument("--config", type=Path, metavar="YAML", help="the checkpoint's model configuration")
    parser.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="new folder for the tokenizer"
    )


def run(args: argparse.Namespace) -> None:
    """Imports the model.

    Raises:
        RegvqError: the source is no such model or does not fit its configuration, or the output is taken.
    """
    if not (args.source.exists() or hub.is_id(args.source)):
        raise RegvqError(f"there is no {args.source} to import")
    if args.source.is_file() and args.config is None:
        raise RegvqError(f"{args.source} is a checkpoint: name its model's YAML as --config")
    if not args.source.is_file() and args.config is not None:
        raise RegvqError(f"{args.source} has a configuration of its own: leave --config out")
    with working("importing"):
        from regvq.exchange import load_taming, load_vq_model
        from regvq.exchange.stock import require_free

        require_free(args.output)
        if args.config is None:
            tokenizer = load_vq_model(args.source)
        else:
            tokenizer = load_taming(args.source, args.config)
        tokenizer.save_pretrained(args.output)
    print(
        f"tokenizer with {tokenizer.codebook_size} codes of {tokenizer.quantizer.dim} channels, "
        f"{tokenizer.downsampling} pixels a token's side, in {args.output}"
    )
