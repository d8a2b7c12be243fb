"""Write what torch's and optax's Adam and AdamW make of the table in `adam_cases`.

    pip install torch==2.13.0 optax==0.2.8 jax==0.10.2
    python tests/unit/nn/frozen/adam_figures.py

It writes `adam_figures.json` beside this file, with the versions. The tests read that alone: they
need neither package. Gradients are the packages' own, of the objectives.
"""

import json
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from adam_cases import DTYPES, FROZEN_AT, OPTIMIZERS, PROBLEMS  # noqa: E402


def torch_weights(settings, objective, start, dtype):
    """The weights after each step of torch.optim.AdamW."""
    import torch

    w = torch.tensor(start, dtype=getattr(torch, dtype), requires_grad=True)
    optimizer = torch.optim.AdamW(
        [w],
        lr=settings["learning_rate"],
        betas=(settings["beta1"], settings["beta2"]),
        eps=settings["epsilon"],
        weight_decay=settings["weight_decay"],
    )
    for _ in range(max(FROZEN_AT)):
        optimizer.zero_grad()
        objective(w).backward()
        optimizer.step()
        yield w.tolist()


def optax_weights(settings, objective, start, dtype):
    """The weights after each step of optax.adamw."""
    import jax

    jax.config.update("jax_enable_x64", True)
    import optax

    w = jax.numpy.array(start, dtype=dtype)
    optimizer = optax.adamw(
        settings["learning_rate"],
        b1=settings["beta1"],
        b2=settings["beta2"],
        eps=settings["epsilon"],
        weight_decay=settings["weight_decay"],
    )
    state, gradient = optimizer.init(w), jax.grad(objective)
    for _ in range(max(FROZEN_AT)):
        updates, state = optimizer.update(gradient(w), state, w)
        w = optax.apply_updates(w, updates)
        yield w.tolist()


def figures(weights_of):
    """The weights after the steps FROZEN_AT, by optimizer, problem and dtype."""
    found = {}
    for optimizer, settings in OPTIMIZERS.items():
        for problem, (objective, _, start, _) in PROBLEMS.items():
            for dtype in DTYPES:
                after = list(weights_of(settings, objective, start, dtype))
                key = f"{optimizer} | {problem} | {dtype}"
                found[key] = [after[t - 1] for t in FROZEN_AT]
    return found


def lines(found):
    """JSON with one line per row of the table."""
    return "{\n" + ",\n".join(f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in found.items()) + "}"


def main():
    import jax
    import optax
    import torch

    content = {
        "made_by": Path(__file__).name,
        "versions": {
            "torch": torch.__version__,
            "optax": optax.__version__,
            "jax": jax.__version__,
        },
        "steps": FROZEN_AT,
        "torch": figures(torch_weights),
        "optax": figures(optax_weights),
    }
    rows = {k: lines(v) if k in ("torch", "optax") else json.dumps(v) for k, v in content.items()}
    text = ",\n".join(f"{json.dumps(key)}: {row}" for key, row in rows.items())
    (HERE / "adam_figures.json").write_text(f"{{\n{text}\n}}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
