"""Make a bundle of weights that you trained, and add it to the ensemble.

python examples/add_member.py WEIGHTS.safetensors NAME --like neckfrac-model-two --bundle FOLDER [--study STUDY]

The network has the architecture, and is shown its images in the way, of a bundle that is installed (`--like`); only
its weights are others. It is run beside the ensemble and its probabilities are shown, but it moves none of the
ensemble's before weights and thresholds are fitted anew (`neckfrac train ensemble`). For an architecture of your own
see CONTRIBUTING.md.
"""

import argparse
import sys
from pathlib import Path

import neckfrac


def export(weights: Path, name: str, like: str, folder: Path, models: Path | None) -> None:
    """Write the bundle: weights, how to build the network, what it is shown, and what it was trained on."""
    import safetensors.torch
    from neckfrac.bundles.bundle import build_network, save_bundle
    from neckfrac.bundles.library import installed, model_folders

    bundles = {bundle.name: bundle for bundle in installed(model_folders(models))}
    if like not in bundles:
        raise neckfrac.InputError(f"There is no bundle {like!r}.", advice=f"Choose among {', '.join(bundles)}.")
    base = bundles[like]
    network = build_network(base.inference["network_def"])
    state = safetensors.torch.load_file(weights)  # never a pickle: that could run code
    network.load_state_dict({key: value.float() for key, value in state.items()})
    save_bundle(
        folder,
        name=name,
        version="0.0.1",
        step=base.step,
        network=network,
        network_config=base.inference["network_def"],
        preprocessing=base.inference["preprocessing"],
        metadata={"description": f"As {like}, trained anew.", "neckfrac": {"trained_on": "not stated"}},
    )


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Add a network of your own to the ensemble.")
    parser.add_argument("weights", type=Path, help="safetensors file with the network's state")
    parser.add_argument("name", help="what the new member is called")
    parser.add_argument("--like", required=True, help="the installed bundle that it is built like")
    parser.add_argument("--bundle", type=Path, required=True, help="where the bundle is written; must not exist")
    parser.add_argument("--models", type=Path, help="folder of bundles; default: NeckFrac's, and yours to add to")
    parser.add_argument("--study", help="a neck CT to ask the new member about")
    options = parser.parse_args(arguments)
    if options.bundle.exists():
        raise neckfrac.InputError("There is something already.", where=options.bundle, advice="Choose another folder.")

    from neckfrac.bundles.installing import add_bundle

    export(options.weights, options.name, options.like, options.bundle, options.models)
    added = add_bundle(options.bundle, options.models)  # verified once more, as anybody's bundle is
    print(f"{added.name} lies in {added.folder}")

    if options.study:
        for level in neckfrac.analyze(options.study, models_dir=options.models).findings.levels:
            if level.probability is not None:
                own = level.members[added.name]
                print(f"{level.level}: the new member says {own:.3f}, the ensemble {level.probability:.3f}")
    print(neckfrac.DISCLAIMER)


if __name__ == "__main__":
    try:
        main()
    except neckfrac.InputError as error:
        sys.exit(str(error))
