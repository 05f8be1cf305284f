"""Where ECS and STS are reached for a region, and whether plain http may be spoken there."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass
from urllib.parse import urlsplit

STS_REGION_VARIABLE = "ALIBABA_CLOUD_STS_REGION"
VPC_VARIABLE = "ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED"

_CENTRAL = "ecs-cn-hangzhou.aliyuncs.com"
_FORMER = "ecs.aliyuncs.com"
_NEBULA = "ecs.cn-qingdao-nebula.aliyuncs.com"

# Regions whose endpoint is not ecs.REGION.aliyuncs.com.
# Source: endpoint map of the official SDK (alibabacloud-ecs20140526 7.11.8), held to it by a test.
_EXCEPTIONS = {
    **dict.fromkeys(
        (
            "cn-hangzhou",
            "cn-shanghai-finance-1",
            "cn-shenzhen-finance-1",
            "cn-beijing-nu16-b01",
            "cn-fujian",
            "cn-haidian-cm12-c01",
            "cn-hangzhou-bj-b01",
            "cn-hangzhou-internal-prod-1",
            "cn-hangzhou-internal-test-1",
            "cn-hangzhou-internal-test-2",
            "cn-hangzhou-internal-test-3",
            "cn-hangzhou-test-306",
            "cn-shanghai-et15-b01",
            "cn-shanghai-et2-b01",
            "cn-shanghai-internal-test-1",
            "cn-shenzhen-st4-d01",
            "cn-shenzhen-su18-b01",
            "cn-zhangbei-na61-b01",
        ),
        _CENTRAL,
    ),
    **dict.fromkeys(
        (
            "cn-north-2-gov-1",
            "ap-northeast-2-pop",
            "cn-beijing-finance-pop",
            "cn-beijing-gov-1",
            "cn-hangzhou-finance",
            "cn-hongkong-finance-pop",
            "cn-shanghai-inner",
            "cn-shenzhen-inner",
            "cn-wuhan",
            "cn-yushanfang",
            "cn-zhangbei",
            "rus-west-1-pop",
        ),
        _FORMER,
    ),
    **dict.fromkeys(("cn-edge-1", "cn-huhehaote-nebula-1", "cn-zhengzhou-nebula-1"), _NEBULA),
    "cn-zhangjiakou-na62-a01": "ecs.cn-zhangjiakou.aliyuncs.com",
    "eu-west-1-oxs": "ecs.cn-shenzhen-cloudstone.aliyuncs.com",
}


@dataclass(frozen=True, slots=True)
class Address:
    """`host` with its port where it has one; `protocol` is http or https."""

    protocol: str
    host: str

    @property
    def loopback(self) -> bool:
        """Whether the host is this machine."""
        return is_loopback(urlsplit(f"//{self.host}").hostname or "")


def ecs_address(region_id: str, url: str = "") -> Address:
    """Return where ECS of `region_id` is reached; `url` (a host or a URL) overrides the region's.

    Raises ValueError for plain http to anything but a loopback address: passwords travel in URLs.
    """
    if url:
        return _parse(url)
    return Address("https", _EXCEPTIONS.get(region_id, f"ecs.{region_id}.aliyuncs.com"))


def account_address(region_id: str, home: str, url: str) -> Address:
    """Return where an account of region `home` and endpoint `url` (or empty) reaches `region_id`.

    `url` is the way to `home` alone: most writes name no region, and the endpoint of one knows no
    instance of another. A loopback address is that of a simulator, which serves all. Raises
    ValueError like `ecs_address`.
    """
    leads_there = bool(url) and (region_id == home or _parse(url).loopback)
    return ecs_address(region_id, url if leads_there else "")


def sts_address(url: str = "") -> Address:
    """Return where STS is reached: a loopback `url` serves both services, others ECS alone.

    In a VPC without a way to the internet, the environment names STS's region and asks for its
    address inside. Source: the official SDK's ALIBABA_CLOUD_STS_REGION, and
    ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED, which counts together with a region only.
    """
    if url and (own := _parse(url)).loopback:
        return own
    region_id = os.environ.get(STS_REGION_VARIABLE, "").strip()
    if not region_id:
        return Address("https", "sts.aliyuncs.com")
    inside = os.environ.get(VPC_VARIABLE, "").strip().lower() == "true"
    return Address("https", f"{'sts-vpc' if inside else 'sts'}.{region_id}.aliyuncs.com")


def is_loopback(host: str) -> bool:
    """Whether `host` (no port) names this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _parse(url: str) -> Address:
    protocol, separator, rest = url.partition("://")
    address = Address(protocol.lower(), rest) if separator else Address("https", url)
    address = Address(address.protocol, address.host.rstrip("/"))
    if address.protocol == "http" and not address.loopback:
        raise ValueError("plain http is for loopback addresses only: passwords travel in requests")
    if address.protocol not in ("http", "https") or not address.host:
        raise ValueError("an endpoint is a host name or an http(s) URL")
    return address
