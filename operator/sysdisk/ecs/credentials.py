"""The keys that an account's requests are signed with: the last ones, and when to ask for others.

The SDK asks for them in a thread at every call, so whatever a source needs (STS, the metadata
service, a token file) is waited for there, never on the event loop. The last keys that worked stay
in memory: when their source fails or vanishes they are used until they expire, because a machine
that was stopped must be started again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future

from alibabacloud_credentials.models import CredentialModel
from alibabacloud_credentials.provider.refreshable import Credentials as VendorKeys

from sysdisk.api.account import Credentials
from sysdisk.ecs import key_sources
from sysdisk.ecs.errors import CredentialsError
from sysdisk.ecs.failures import no_credentials
from sysdisk.ecs.key_sources import Provider, ask, model
from sysdisk.ecs.scrub import Scrubber
from sysdisk.ecs.sdk import DEFAULT_TIMEOUTS, Timeouts

ASK_AGAIN = 30.0
"""Seconds before a source that failed is asked again while its last keys live, and before one
whose keys ECS refused is made anew once more."""

_Flight = Future[VendorKeys | CredentialsError]


class AccountCredentials:
    """What the SDK asks for the keys of one account. Safe to use from any thread.

    `lost` says why the source is gone while its last keys are still used, None if it is not.
    """

    def __init__(self, scrubber: Scrubber, *, now: Callable[[], float] = time.time) -> None:
        self._scrubber = scrubber
        self._now = now
        self._lock = threading.Lock()
        self._make: Callable[[], Provider] | None = None
        self._provider: Provider | None = None
        self._made_from: object = None
        self._last: VendorKeys | None = None
        self._flight: _Flight | None = None
        self._failed_at: float | None = None
        self._renewed_at: float | None = None
        self._secrets: tuple[str, ...] = ()
        self.lost: str | None = None

    def use(
        self,
        spec: Credentials,
        secret: Mapping[str, bytes] | None = None,
        *,
        endpoint: str = "",
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
    ) -> bool:
        """Take keys from `spec` from now on; return whether anything changed.

        `secret` is the data of the Secret that `secretRef` names, `endpoint` that of the account.
        Reads files and the environment: call it in a thread. Raises CredentialsError, and then
        goes on with what it had.
        """
        made_from = (spec, tuple(sorted((secret or {}).items())), endpoint)
        if made_from == self._made_from and self.lost is None:
            return False

        def make() -> Provider:
            return key_sources.source(spec, secret, endpoint, self._scrubber, timeouts, self._now)

        provider = make()
        with self._lock:
            self._make, self._made_from, self.lost = make, made_from, None
            self._take(provider)
        return True

    def lose(self, why: str) -> bool:
        """Note that the source is gone; return whether the last keys can still be used.

        A Secret that vanished says nothing about its keys: they work until ECS refuses them.
        """
        self.lost = why
        return self._provider is not None

    @property
    def known(self) -> bool:
        """Whether there is a source at all."""
        return self._provider is not None

    def get_credential(self) -> CredentialModel:
        """Return the keys to sign with now. Raises CredentialsError. For threads.

        One thread at a time asks the source. The others, and all for a while after it failed, go on
        with its last keys as long as those live; without, they wait and share what it brings.
        """
        with self._lock:
            provider, last, flight = self._provider, self._living(), self._flight
            if provider is None:
                raise no_credentials(self.lost or "no credentials have been read yet")
            if last is not None and (flight or self._lately(self._failed_at)):
                return model(last)
            mine: _Flight | None = None
            if flight is None:
                mine = flight = self._flight = Future()
        if mine is not None:
            self._fly(provider, mine)
        keys = flight.result()
        if isinstance(keys, CredentialsError):
            raise keys.again()
        return model(keys)

    def refused(self, keys: CredentialModel) -> None:
        """Note that ECS takes the session of `keys` no more: its source is made anew, and asked."""
        with self._lock:
            make, last = self._make, self._last
            ours = last is not None and last.get_access_key_id() == keys.access_key_id
            if make is None or not ours or self._lately(self._renewed_at):
                return
            self._renewed_at = self._now()
        try:
            provider = make()
        except CredentialsError:
            return
        with self._lock:
            if self._make is make:
                self._take(provider)

    def _take(self, provider: Provider) -> None:
        self._provider, self._last, self._flight, self._failed_at = provider, None, None, None

    def _fly(self, provider: Provider, flight: _Flight) -> None:
        found: VendorKeys | CredentialsError = no_credentials("their source failed")
        try:
            found = ask(provider)
        except CredentialsError as error:
            found = error
        finally:  # whatever happened: others wait for it
            flight.set_result(self._learn(provider, flight, found))

    def _learn(
        self, provider: Provider, flight: _Flight, found: VendorKeys | CredentialsError
    ) -> VendorKeys | CredentialsError:
        """Return what to sign with: `found`, or the last keys if it is an error and they live."""
        with self._lock:
            if self._flight is flight:
                self._flight = None
            if isinstance(found, CredentialsError):
                if provider is not self._provider:
                    return found
                self._failed_at = self._now()
                return self._living() or found
            if provider is self._provider:
                self._last, self._failed_at = found, None
            secrets = (found.get_access_key_secret(), found.get_security_token() or "")
            if secrets != self._secrets:
                self._scrubber.add(*secrets)
                self._scrubber.drop(*self._secrets)
                self._secrets = secrets
            return found

    def _living(self) -> VendorKeys | None:
        expires = self._last.get_expiration() if self._last else None
        return self._last if expires is None or self._now() < expires else None

    def _lately(self, moment: float | None) -> bool:
        """Whether `moment` is not long ago; a clock that was set back does not make it longer."""
        return moment is not None and 0 <= self._now() - moment < ASK_AGAIN
