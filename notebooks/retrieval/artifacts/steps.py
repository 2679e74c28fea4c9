"""Which notebook makes which artifact, and so what to do if one is missing."""

from fnmatch import fnmatch

# The first pattern that fits an artifact's name tells what makes it.
STEPS = {
    "more/a_protocol": ("label_errors.csv",),
    "more/c_fine_tuning": ("short_training_*",),
    "more/d_stronger_encoder": (
        *("proxy_*", "imagenet_*", "fused_lda_*", "expanded_*", "results/proxy_*", "results/imagenet_*"),
        *("interpolated_*", "results/interpolated_*"),
        *("results/fused_lda*", "results/expanded*", "results/ablation.csv"),
    ),
    "more/e_feedback": ("results/feedback_beyond.json",),
    "unseen": ("unseen_*",),
    "bench": ("bench_*",),
    "01_split": ("*_index_*.json", "dataset.json", "images.json", "audit.csv"),
    "02_mobilenetv2_features": ("mobilenetv2*", "weights.json", "custom*"),
    "03_siamese_encoders": ("siamese_*",),
    "05_feature_fusion": ("fused*", "results/fused*", "results/comparison*"),
    "06_rocchio_feedback": ("results/feedback.json",),
    "04_kdtree_retrieval": ("results/*",),
}


def step_of(name: str) -> str:
    """What makes an artifact, the notebook or the target of `make`, or "" if nothing does.

    A model is made by what makes its features.

    >>> step_of("siamese_cnn_train.npy"), step_of("models/mobilenetv2/model.npz")
    ('03_siamese_encoders', '02_mobilenetv2_features')
    """
    name = name.removeprefix("models/")
    steps = (step for step, patterns in STEPS.items() if any(fnmatch(name, pattern) for pattern in patterns))
    return next(steps, "")


def remedy(name: str, problem: str) -> str:
    """What is wrong with an artifact, and what to run."""
    step = step_of(name)
    target = f"notebook {step} or `make`" if step[:1].isdigit() else f"`{f'make {step}'.strip()}`"
    return f"{problem}: run {target}"
