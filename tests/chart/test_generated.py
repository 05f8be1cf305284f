"""What is derived is current: a forgotten `make generate` is found here."""

import subprocess
from pathlib import Path

import pytest
import yaml
from charts import generate

from tests.chart.rendering import ROOT, of_kind, rendered
from tests.support.kubectl_process import find_kubectl


@pytest.mark.parametrize(
    "derive",
    [generate.derive_chart_crds, generate.derive_schema, generate.derive_argocd],
    ids=lambda derive: derive.__name__,
)
def test_derived_files_are_current(derive: object) -> None:
    assert callable(derive)
    for path, text in derive().items():
        assert (ROOT / path).read_text() == text, f"{path}: run make generate"


def test_the_table_of_values_is_current() -> None:
    for path, text in generate.derive_readme(generate.derive_schema()).items():
        assert (ROOT / path).read_text() == text, f"{path}: run make generate"


def test_the_install_manifests_are_current_and_no_file_is_left_over() -> None:
    wanted = generate.derive_install()
    for path, text in wanted.items():
        assert (ROOT / path).read_text() == text, f"{path}: run make generate"
    folder = ROOT / generate.INSTALL
    assert {p.relative_to(ROOT) for p in folder.iterdir()} == set(wanted)


def test_the_chart_holds_a_copy_of_each_crd_and_of_nothing_else() -> None:
    copies = {path.name for path in (ROOT / generate.CHART / "files" / "crds").iterdir()}
    assert copies == {path.name for path in (ROOT / "crds").glob("*.yaml")}
    assert len(copies) >= 2


def test_rendering_twice_gives_the_same() -> None:
    assert generate.derive_install() == generate.derive_install()


def test_a_file_is_written_only_where_it_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    path = Path("some/where.yaml")
    assert generate.write({path: "a"}) == [path]
    assert generate.write({path: "a"}) == []
    assert generate.write({path: "b"}) == [path]
    assert (tmp_path / path).read_text() == "b"


def test_kustomize_builds_what_helm_installs() -> None:
    done = subprocess.run(
        [find_kubectl(), "kustomize", "manifests/install"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    built = list(yaml.safe_load_all(done.stdout))

    def identities(objects: list[dict[str, object]]) -> list[str]:
        return sorted(str(document["kind"]) for document in objects)

    assert identities(built) == sorted([*identities(rendered()), "Namespace"])
    for crd in of_kind("CustomResourceDefinition", built):
        source = yaml.safe_load((ROOT / "crds" / crd_file(crd["metadata"]["name"])).read_text())
        assert crd["spec"] == source["spec"]


def crd_file(name: str) -> str:
    plural, group = name.split(".", 1)
    return f"{group}_{plural}.yaml"


def test_the_installed_pod_may_run_in_its_restricted_namespace() -> None:
    (namespace,) = yaml.safe_load_all((ROOT / generate.INSTALL / "namespace.yaml").read_text())
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    (deployment,) = yaml.safe_load_all((ROOT / generate.INSTALL / "deployment.yaml").read_text())
    assert deployment["metadata"]["namespace"] == namespace["metadata"]["name"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert not [label for label in labels if label.startswith("helm.sh/")]
