"""Who is let in by a registry: passwords, tokens, certificates; and who is told of them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from image_builds import PATH, TOKEN, build, failing
from image_registry import USER, ImageRegistry, NoRegistry, small_layer
from token_server import TokenServer, make_certificate

from waystage.errors import Hopeless
from waystage.plugin import Done
from waystage.testing import FakeContext, check_step, run_to_end
from waystage_plugins.images import BuildServingImage
from waystage_plugins.images.login import Login
from waystage_plugins.images.wire import Wire


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[ImageRegistry]:
    """Give a real registry that lets one user in by htpasswd."""
    try:
        shelf = ImageRegistry(tmp_path / "guarded", htpasswd=True)
    except NoRegistry as error:
        pytest.skip(str(error))
    shelf.put_image("mirror/serving", "2.19.1", small_layer(), ["MODEL_BASE_PATH=/models"])
    yield shelf
    shelf.stop()


@pytest.mark.heavy
def test_a_user_with_a_password_is_let_in(guarded: ImageRegistry, ctx: FakeContext) -> None:
    step = build(guarded, user=USER, token=TOKEN)
    answer = check_step(step, ctx, world=lambda: guarded.manifest(PATH, "1"))
    assert isinstance(answer, Done)


@pytest.mark.heavy
def test_a_wrong_password_is_one_clear_line(guarded: ImageRegistry, ctx: FakeContext) -> None:
    ctx.secrets["env/REGISTRY_TOKEN"] = "guess"
    told = failing(build(guarded, user=USER, token=TOKEN), ctx, Hopeless)
    assert told.endswith("user 'builder' is not let in with this token")
    told = failing(build(guarded), ctx, Hopeless)
    assert told.endswith("it wants a user and a token")
    assert guarded.tags(PATH) == []


@pytest.mark.heavy
def test_a_bearer_token_is_fetched_for_what_is_done(
    tmp_path: Path, tokens: TokenServer, ctx: FakeContext
) -> None:
    try:
        shelf = ImageRegistry(tmp_path / "open")
    except NoRegistry as error:
        pytest.skip(str(error))
    shelf.put_image("mirror/serving", "2.19.1", small_layer(), ["MODEL_BASE_PATH=/models"])
    shelf.stop()
    shutil.move(tmp_path / "open" / "data", tmp_path / "with-tokens" / "data")
    shelf = ImageRegistry(tmp_path / "with-tokens", tokens=tokens)
    try:
        answer = run_to_end(build(shelf, user=USER, token=TOKEN), ctx)
        assert isinstance(answer, Done)
        rights = [right for access in tokens.issued.values() for right in access]
        assert {"type": "repository", "name": PATH, "actions": ["pull", "push"]} in rights
        assert {"type": "repository", "name": "mirror/serving", "actions": ["pull"]} in rights
        again = run_to_end(build(shelf, user=USER, token=TOKEN), ctx)
        assert again.output == answer.output
        tokens.read_only = True
        step = build(shelf, user=USER, token=TOKEN).model_copy(update={"tag": "2", "stamp": True})
        assert failing(step, ctx, Hopeless).endswith("user 'builder' may not do this")
        ctx.secrets["env/REGISTRY_TOKEN"] = "guess"
        told = failing(build(shelf, user=USER, token=TOKEN), ctx, Hopeless)
        assert told.endswith("user 'builder' is not let in with this token")
    finally:
        shelf.stop()


@pytest.mark.heavy
def test_a_certificate_is_checked_against_the_named_signer(
    tmp_path: Path, ctx: FakeContext
) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("NOT TESTED: no openssl")
    key, certificate = tmp_path / "key.pem", tmp_path / "registry.pem"
    make_certificate(key, certificate)
    try:
        shelf = ImageRegistry(tmp_path / "safe", certificate=(certificate, key))
    except NoRegistry as error:
        pytest.skip(str(error))
    try:
        shelf.put_image("mirror/serving", "2.19.1", small_layer(), [])
        told = failing(build(shelf, plain_http=False), ctx, Hopeless)
        assert "its certificate is not trusted; name the file with its signer by ca:" in told
        shutil.copy(certificate, ctx.project / "bank.pem")
        assert isinstance(run_to_end(build(shelf, plain_http=False, ca="bank.pem"), ctx), Done)
        told = failing(build(shelf, plain_http=False, ca="nowhere.pem"), ctx, Hopeless)
        assert told == "ca: nowhere.pem is no file with certificates (PEM)"
    finally:
        shelf.stop()


@pytest.mark.parametrize(
    "host", ["registry.example.org", "localhost.example.org", "127.example.org:5000", "10.0.0.1"]
)
def test_credentials_are_not_sent_in_clear_to_another_machine(ctx: FakeContext, host: str) -> None:
    step = BuildServingImage.model_validate({
        "base": f"{host}/serving:1", "tag": "1", "registry": {"host": host, "plain_http": True},
    })  # fmt: skip
    assert "would send models and passwords in clear" in failing(step, ctx, Hopeless)


def test_user_and_token_belong_together() -> None:
    with pytest.raises(ValueError, match="user and token belong together"):
        BuildServingImage.model_validate(
            {"base": "a/b:1", "tag": "1", "registry": {"host": "a.b", "user": "x"}}
        )


def test_a_token_server_without_https_gets_no_password(
    ctx: FakeContext,
) -> None:
    wire = Wire(ctx, ctx.http, "registry.example.org", Login(), ())
    with pytest.raises(Hopeless, match="names a token server without https"):
        wire._realm("http://evil.example.org/token")
