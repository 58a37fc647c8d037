"""Write a tokenizer or generator as another library's own model.

--format diffusers makes a tokenizer a VQModel of diffusers: its head must be Euclidean or cosine, its
backbone without a shortcut. --format transformers makes an autoregressive generator a LlamaForCausalLM of
transformers, whose config.json holds what its ids mean under image_tokens. --format onnx makes any
tokenizer two graphs, encoder.onnx and decoder.onnx, for batches and images of any size, which onnxruntime
has run on random images before they are written (it needs pip install "regvq[onnx]"). The folder is read
by that library alone; docs/ecosystem.md shows how. What cannot be said in its words is refused.

Example:
  regvq export runs/mine/tokenizer --format diffusers --output runs/mine/vq-model
  regvq export runs/mine/tokenizer --format onnx --output runs/mine/onnx
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
        "--format",
        required=True,
        choices=("diffusers", "transformers", "onnx"),
        help="whose model it becomes",
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
        from regvq.exchange import save_llama, save_onnx, save_vq_model

        if args.format == "diffusers":
            save_vq_model(regvq.load_tokenizer(args.model), args.output)
            call = f'diffusers.VQModel.from_pretrained("{args.output}")'
        elif args.format == "onnx":
            save_onnx(regvq.load_tokenizer(args.model), args.output)
            call = f'onnxruntime.InferenceSession("{args.output / "encoder.onnx"}")'
        else:
            save_llama(regvq.load_generator(args.model), args.output)
            call = f'transformers.LlamaForCausalLM.from_pretrained("{args.output}")'
    print(f"{call} reads it")
