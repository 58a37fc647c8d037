"""Write a tokenizer or generator as another library's own model.

--format diffusers makes a tokenizer a VQModel of diffusers: its head must be Euclidean or cosine, its
backbone without a shortcut. --format transformers makes an autoregressive generator a LlamaForCausalLM of
transformers, whose config.json holds what its ids mean under image_tokens. The folder is read by that
library alone; docs/ecosystem.md shows how. What cannot be said in the other library's words is refused.

Example:
  regvq export runs/mine/tokenizer --format diffusers --output runs/mine/vq-model
"""

import argparse
from pathlib import Path

from regvq import hub
from regvq.cli.terminal import working
from regvq.errors import RegvqError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.add_argument(
        "model",
        type=Path,
        metavar="MODEL",
        help="folder of a tokenizer, or of a generator for transformers",
    )
    parser.add_argument(
        "--format", required=True, choices=("diffusers", "transformers"), help="whose model it becomes"
    )
    parser.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="new folder for the model"
    )


def run(args: argparse.Namespace) -> None:
    """Exports the model.

    Raises:
        RegvqError: the folder holds no such model, the model cannot be exported, or the output is taken.
    """
    if not (args.model.is_dir() or hub.is_id(args.model)):
        raise RegvqError(f"there is no model folder {args.model}")
    with working("exporting"):
        import regvq
        from regvq.exchange import save_llama, save_vq_model

        if args.format == "diffusers":
            save_vq_model(regvq.load_tokenizer(args.model), args.output)
            call = "diffusers.VQModel"
        else:
            save_llama(regvq.load_generator(args.model), args.output)
            call = "transformers.LlamaForCausalLM"
    print(f'{call}.from_pretrained("{args.output}") reads it')
