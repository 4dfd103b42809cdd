"""What a model card says of the network, its pictures and its training: all from the manifest."""

from collections.abc import Iterator
from typing import Any

from mri_tumor.dataset.tables import percent
from mri_tumor.files import digest_of
from mri_tumor.labels import display_name
from mri_tumor.manifest import Manifest
from mri_tumor.models.describing.markdown import UNKNOWN, bullets, choices, part, plain, said, table

_PHASES = {"head": "the head", "network": "the whole network", "top": "top of the backbone"}
_VIEWS = {
    "none": "it answers by the picture as it is",
    "mirror": "it answers by the mean of the picture and its mirror image",
}
_WAYS = {"group": "by group, so that what belongs together stays together", "image": "**picture by picture**"}
_ONE = "It learnt from the training pictures and was selected by the validation pictures."
_FOLDS = (
    "networks were trained on training and validation pictures together, each selected by another part of "
    "their groups and never shown one more part; the mean of their logits answers."
)
_NO_GROUPS = (
    "**Groups are not known of the training pictures**: nothing shows whether slices of one patient lie on "
    "both sides of the division."
)


def title(manifest: Manifest) -> str:
    """Return what a classifier is called that was given no name."""
    network, data = part(manifest.sections, "model"), part(manifest.sections, "data")
    return f"{network.get('name') or 'classifier'}: {', '.join(map(str, data.get('labels', ())))}"


def network(manifest: Manifest, licence: str) -> str:
    """Return what the network is, what it takes and what it gives."""
    card, data = part(manifest.sections, "model"), part(manifest.sections, "data")
    size = said(part(data, "preprocess").get("size"))
    options = choices(part(card, "options"))
    views = str(part(manifest.sections, "decision").get("tta", "none"))
    made = ", ".join(f"{plain(name)} {plain(version)}" for name, version in sorted(manifest.versions.items()))
    return bullets(
        [
            f"Network: {said(card.get('name'))}{f' ({options})' if options else ''}, "
            f"{said(card.get('parameters'))} parameters.",
            f"Weights that training began with: {_begin(card)}.",
            f"Input: one slice, grey, 8 bits, brought to {size} x {size} pixels (below).",
            f"Output: a probability a class, in this order: {said(data.get('labels'))}.",
            f"Views: {_VIEWS.get(views, plain(views))}.",
            f"Licence of the weights: {plain(licence)}.",
            f"Made with: {made or UNKNOWN}.",
            f"Digest of its manifest: `{manifest.digest}`.",
        ]
    )


def _begin(card: dict[str, Any]) -> str:
    """Return what the weights were before training."""
    if "weights" not in card:
        return UNKNOWN
    if card["weights"] is None:
        return "drawn at random"
    name, _, digest = str(card["weights"]).partition("sha256.")
    return f"a file whose SHA-256 begins with `{plain(digest)}`" if digest else plain(name)


def pictures(manifest: Manifest) -> str:
    """Return which pictures it was trained on, as far as the manifest knows."""
    learnt, judged = part(manifest.sections, "data"), part(manifest.sections, "validation")
    rows = [
        [plain(label), plain(display_name(str(label))), *(_count(one, label) for one in (learnt, judged))]
        for label in learnt.get("labels", ())
    ]
    rows.append(["all", "", *(said(one.get("count")) for one in (learnt, judged))])
    rows.append(["known groups", "", *(_groups(one) for one in (learnt, judged))])
    lines = [*_division(learnt), *_leakage(manifest), *_where(manifest)]
    shown = table(["class", "shown as", "training pictures", "validation pictures"], rows, words=2)
    return f"{shown}\n\n{bullets(lines)}\n\n{_preprocessing(learnt)}"


def _count(data: dict[str, Any], label: Any) -> str:
    return said(part(data, "counts").get(label))


def _groups(data: dict[str, Any]) -> str:
    if "groups" not in data:
        return UNKNOWN
    return "none" if data["groups"] is None else said(data["groups"])


def _division(data: dict[str, Any]) -> Iterator[str]:
    division = part(data, "division")
    way = str(division.get("by"))
    if not division:
        yield f"How training and validation pictures were divided: {UNKNOWN}."
    else:
        drawn = f"shares {said(division.get('fractions'))}, seed {said(division.get('seed'))}"
        how = _WAYS.get(way, f"in a way that is {UNKNOWN}")
        yield f"Divided {how}; {drawn}, digest `{said(division.get('digest'))}`."
    if way == "image":
        yield "So slices of one patient may lie on both sides, and what was measured in training is too good."
    if data.get("groups") is None:
        yield _NO_GROUPS


def _leakage(manifest: Manifest) -> Iterator[str]:
    found = part(manifest.sections, "training", "leakage")
    shared = [found.get(f"shared_{what}") or 0 for what in ("pictures", "groups")]
    if not found:
        yield f"Whether training and validation share pictures: {UNKNOWN}."
    elif not found.get("checked"):
        yield "Whether training and validation share pictures was **not checked**: these pictures had no ids."
    elif any(shared):
        yield (
            f"**Training and validation share {said(shared[0])} pictures and {said(shared[1])} groups**, "
            "which was allowed by whoever trained it: what was measured in training is too good."
        )
    else:
        yield "Checked before training: training and validation share no picture and no known group."


def _where(manifest: Manifest) -> Iterator[str]:
    digests = [said(part(manifest.sections, name).get("catalog_digest")) for name in ("data", "validation")]
    yield f"Digests of the pictures: training `{digests[0]}`, validation `{digests[1]}`."
    if "seen" in part(manifest.sections, "model"):
        yield "Hashes of the pictures it was trained on lie beside it: `evaluate` refuses to judge by these."
    yield "Which data set they are of, and under which licence: the manifest does not say."


def _preprocessing(data: dict[str, Any]) -> str:
    spec = part(data, "preprocess")
    digest = said(data.get("preprocess_digest"))
    return (
        f"Preprocessing, which `predict` does by itself: {choices(spec) or UNKNOWN}; digest `{digest}`. The "
        "fields are those of `mri_tumor.dataset.Preprocess`."
    )


def training(manifest: Manifest) -> str:
    """Return the recipe and how training went."""
    recipe, section = part(manifest.sections, "recipe"), part(manifest.sections, "training")
    parts = [_recipe(recipe), _learnt_from(section)]
    rows = [row for name, one in _networks(section) for row in _rows(name, one)]
    if rows:
        header = ["network", "phase", "what was chosen", "validation accuracy, %", "validation loss"]
        parts.append(table(header, rows, words=3))
        parts.append(
            "The choice was made by these validation pictures, so their scores are a little too good."
        )
    else:
        parts.append(f"How training went: {UNKNOWN}.")
    return "\n\n".join(parts)


def _recipe(recipe: dict[str, Any]) -> str:
    if not recipe:
        return f"Recipe: {UNKNOWN}."
    return (
        f"Recipe, digest `{digest_of(recipe)}`: {choices(recipe)}. The fields are those of "
        "`mri_tumor.models.Recipe`."
    )


def _learnt_from(section: dict[str, Any]) -> str:
    """Return which of the pictures the delivered network learnt from."""
    networks = [one for _, one in _networks(section)]
    if not networks:
        return f"Which pictures the network learnt from: {UNKNOWN}."
    folds = "folds" in section
    first = f"{len(networks)} {_FOLDS}" if folds else _ONE
    again = [said(part(one, "refit").get("count")) for one in networks if part(one, "refit")]
    if not again:
        return first
    return (
        f"{first} Refit: {'each' if folds else 'it'} was then trained anew, as it had been selected, on "
        f"{', '.join(dict.fromkeys(again))} pictures, those of the selection among them; no score of the "
        "refit was measured in training."
    )


def _networks(section: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield name and section of each network that was trained."""
    folds = section.get("folds")
    if isinstance(folds, list):
        yield from ((f"fold {place + 1}", part(one)) for place, one in enumerate(folds))
    elif "epochs_run" in section:
        yield "the network", section


def _rows(name: str, section: dict[str, Any]) -> Iterator[list[str]]:
    # The first releases had one phase and did not name it.
    for phase, one in (part(section, "phases") or {"network": section}).items():
        aside = ", set aside" if phase == "top" and not section.get("top_kept") else ""
        yield [name, f"{_PHASES.get(phase, plain(phase))}{aside}", _chosen(one), *_measured(one)]
    for _, phase, _, *measured in _rows("", part(section, "refit")) if part(section, "refit") else ():
        yield [f"{name}, refit", phase, "as selected", *measured]


def _chosen(one: Any) -> str:
    one = part(one)
    run, best = one.get("epochs_run"), one.get("best_epoch")
    if "best_strength" in one:
        return f"strength {said(one['best_strength'])} of {said(run)} tried"
    return f"epoch {said(best + 1) if isinstance(best, int) else UNKNOWN} of {said(run)}"


def _measured(one: Any) -> list[str]:
    accuracy, loss = (part(one).get(f"best_val_{name}") for name in ("accuracy", "loss"))
    right = percent(accuracy) if isinstance(accuracy, int | float) else "-"
    return [right, f"{loss:.4f}" if isinstance(loss, int | float) else "-"]
