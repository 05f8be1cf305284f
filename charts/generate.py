"""Bring what is derived up to date: the chart's CRDs, schema and README, and manifests/.

Run from anywhere, after the CRDs were generated: `python charts/generate.py`. Each function named
`derive_*` returns what files should hold, by path relative to the repository; `main` writes the
ones that differ. The tests call `derive` and compare, so a forgotten run fails there.

The Helm engine is the real one, in `helm-python-sdk`; it sees no cluster.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import helm_python
import yaml

ROOT: Final = Path(__file__).resolve().parent.parent
CHART: Final = Path("charts/sysdisk-operator")
INSTALL: Final = Path("manifests/install")
ARGOCD: Final = Path("manifests/argocd")

NAMESPACE: Final = "sysdisk-system"
RELEASE: Final = "sysdisk-operator"

MARK: Final = "# Made by charts/generate.py: edit its source, then run it again.\n"
TABLE_BEGIN: Final = "<!-- values: made by charts/generate.py from values.schema.json -->\n"
TABLE_END: Final = "<!-- end of values -->\n"

Files = Mapping[Path, str]


def derive() -> Files:
    """Return the wanted text of every derived file, by its path relative to the repository."""
    schema = derive_schema()
    # Rendered with the derived schema and CRDs in place, so one run is enough.
    return {**derive_chart_crds(), **schema, **derive_readme(schema), **derive_argocd()}


def derive_chart_crds() -> Files:
    """Return the chart's copies of crds/: Helm reads nothing from outside the chart."""
    return {
        CHART / "files" / "crds" / source.name: MARK + source.read_text()
        for source in sorted((ROOT / "crds").glob("*.yaml"))
    }


def derive_schema() -> Files:
    """Return values.schema.json with `defaultAccount.spec` taken from the CRD of EcsAccount."""
    path = CHART / "values.schema.json"
    schema = json.loads((ROOT / path).read_text())
    crd = yaml.safe_load((ROOT / "crds/sysdisk.dev_ecsaccounts.yaml").read_text())
    spec = closed(crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"])
    spec.pop("required", None)  # an account that is not created needs nothing
    # The release's namespace is the default, which the CRD cannot know.
    spec["properties"]["credentials"]["properties"]["secretRef"]["required"] = ["name"]
    schema["properties"]["defaultAccount"]["properties"]["spec"] = spec
    return {path: json.dumps(schema, indent=2, ensure_ascii=False) + "\n"}


def closed(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a structural schema as a strict JSON schema, without Kubernetes' own keywords."""
    kept = {key: value for key, value in schema.items() if not key.startswith("x-kubernetes-")}
    kept.pop("default", None)
    for bound in ("Minimum", "Maximum"):  # a flag in OpenAPI 3.0, the bound itself in JSON schema
        if kept.pop(f"exclusive{bound}", False):
            kept[f"exclusive{bound}"] = kept.pop(bound.lower())
    if "properties" in kept:
        kept["properties"] = {name: closed(part) for name, part in kept["properties"].items()}
        kept["additionalProperties"] = False
    elif isinstance(kept.get("additionalProperties"), dict):
        kept["additionalProperties"] = closed(kept["additionalProperties"])
    if isinstance(kept.get("items"), dict):
        kept["items"] = closed(kept["items"])
    return kept


def derive_readme(schema: Files) -> Files:
    """Return the chart's README with the table of values between its two marks."""
    path = CHART / "README.md"
    defaults = yaml.safe_load((ROOT / CHART / "values.yaml").read_text())
    parsed = json.loads(schema[CHART / "values.schema.json"])
    head, rest = (ROOT / path).read_text().split(TABLE_BEGIN)
    tail = rest.split(TABLE_END)[1]
    rows = "".join(
        f"| `{name}` | `{json.dumps(default, ensure_ascii=False)}` | {text} |\n"
        for name, default, text in value_rows(parsed, defaults)
    )
    table = f"\n| value | default | meaning |\n| --- | --- | --- |\n{rows}\n"
    return {path: head + TABLE_BEGIN + table + TABLE_END + tail}


def value_rows(
    schema: Mapping[str, Any], defaults: Mapping[str, Any], prefix: str = ""
) -> Iterator[tuple[str, Any, str]]:
    """Yield name, default and meaning of each value that has a default, groups opened up."""
    for name, default in defaults.items():
        part = schema["properties"][name]
        if isinstance(default, dict) and default and "properties" in part:
            yield from value_rows(part, default, f"{prefix}{name}.")
        else:
            yield prefix + name, default, part["description"].replace("|", "\\|")


def derive_install() -> Files:
    """Return manifests/install: the chart's rendering with default values, one file a kind.

    It is rendered from the files of the chart as they are now, so these come first.
    """
    with helm_python.Chart.load(ROOT / CHART) as chart:
        rendered = chart.render({"crds": {"keep": False}}, name=RELEASE, namespace=NAMESPACE)
    files: dict[Path, str] = {}
    for template, text in sorted(rendered.items()):
        if not template.endswith(".yaml"):
            continue  # the notes
        documents = [plain(part) for part in yaml.safe_load_all(text) if part]
        if documents:
            files[INSTALL / Path(template).name] = MARK + dump(documents)
    namespace = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": NAMESPACE,
            "labels": {"pod-security.kubernetes.io/enforce": "restricted"},
        },
    }
    files[INSTALL / "namespace.yaml"] = MARK + dump([namespace])
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": sorted(path.name for path in files),
    }
    files[INSTALL / "kustomization.yaml"] = MARK + dump([kustomization])
    return files


def plain(document: dict[str, Any]) -> dict[str, Any]:
    """Return an object without the labels that only mean something to Helm."""
    pod = document.get("spec", {}).get("template", {})
    for metadata in (document["metadata"], pod.get("metadata", {})):
        for label in ("helm.sh/chart", "app.kubernetes.io/managed-by"):
            metadata.get("labels", {}).pop(label, None)
    return document


def derive_argocd() -> Files:
    """Return the fragment of argocd-cm that holds the health checks of both kinds."""
    data = {
        f"resource.customizations.health.{source.parent.parent.name}_{source.parent.name}": (
            source.read_text()
        )
        for source in sorted((ROOT / ARGOCD / "resource_customizations").glob("*/*/health.lua"))
    }
    fragment = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": "argocd-cm",
            "namespace": "argocd",
            "labels": {"app.kubernetes.io/part-of": "argocd"},
        },
        "data": data,
    }
    return {ARGOCD / "argocd-cm.yaml": MARK + dump([fragment])}


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks, and never anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def dump(documents: list[dict[str, Any]]) -> str:
    """Return documents as one YAML text, in the order of their keys as given."""
    return yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, width=100, explicit_start=True)


def write(files: Files) -> list[Path]:
    """Write the files that differ; return their paths."""
    changed = []
    for path, text in files.items():
        target = ROOT / path
        if not target.exists() or target.read_text() != text:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
            changed.append(path)
    return changed


def main() -> None:
    """Write every derived file and say which ones changed."""
    changed = write(derive())
    changed += write(derive_install())
    for path in changed:
        sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()
