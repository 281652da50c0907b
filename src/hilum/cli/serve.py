"""`hilum serve`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from hilum.app.bootstrap import FirstStart, prepare_data_directory
from hilum.app.loop import run
from hilum.app.supervisor import Serving, Supervisor
from hilum.cli.options import ConfigOption, DataOption, settings_from


def serve(
    *,
    data: DataOption = None,
    host: Annotated[str | None, Parameter(help="Address to listen on, for HTTP and DICOM.")] = None,
    http_port: Annotated[
        int | None, Parameter(help="TCP port of DICOMweb and the web app; 0 takes a free one.")
    ] = None,
    dicom_port: Annotated[int | None, Parameter(help="TCP port of DIMSE; 0 takes a free one.")] = None,
    ae_title: Annotated[str | None, Parameter(help="AE title that callers call.")] = None,
    workers: Annotated[int | None, Parameter(help="Worker processes sharing the ports.")] = None,
    config: ConfigOption = None,
    demo: Annotated[bool, Parameter(negative="", help="Store sample studies when the archive is empty.")] = False,
) -> None:
    """Run the archive: DIMSE, DICOMweb and the web app.

    The first start creates the administrator `admin` and prints a one-time password, or takes the password from
    HILUM_ADMIN_PASSWORD. SIGTERM finishes what is being received, answers, and stops.
    """
    settings = settings_from(
        config,
        data=str(data) if data else None,
        http__host=host,
        http__port=http_port,
        dicom__port=dicom_port,
        dicom__ae_title=ae_title,
        workers=workers,
    )
    prepare_data_directory(settings)
    run(Supervisor(settings, announce=_announce, announce_first_start=_announce_first_start, with_samples=demo).run())


def _announce(serving: Serving) -> None:
    out = Console(highlight=False, soft_wrap=True)
    http_host = f"[{serving.http_host}]" if ":" in serving.http_host else serving.http_host
    dicom_host = f"[{serving.dicom_host}]" if ":" in serving.dicom_host else serving.dicom_host
    url = f"http://{http_host}:{serving.http_port}"
    ready = f"ready http={url}"
    out.print(f"\n  web app   {url}/", markup=False)
    out.print(f"  DICOMweb  {url}/dicom-web", markup=False)
    for name, key, port in (("DICOM", "dicom", serving.dicom_port), ("DICOM TLS", "dicom_tls", serving.dicom_tls_port)):
        if port is not None:
            send_to = f"{serving.ae_title}@{dicom_host}:{port}"
            out.print(f"  {name:<9} {send_to}", markup=False)
            ready += f" {key}={send_to}"
    # For programs that started us; the last line, so that all the above is there when they read it.
    print(f"\n{ready}", flush=True)


def _announce_first_start(first: FirstStart) -> None:
    out = Console(highlight=False, soft_wrap=True)
    out.print(f"\n  sign in as  {first.user_name}", markup=False)
    if first.password is not None:
        out.print(f"  password    {first.password}", markup=False)
        out.print("  The password is shown this once; `hilum user password` sets another.", markup=False)
