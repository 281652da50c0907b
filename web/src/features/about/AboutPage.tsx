import { useTitle } from "../../ui/states";
import { useSession } from "../session/session";

export function AboutPage() {
  const session = useSession();
  useTitle("About");
  return (
    <div className="overflow-auto p-8">
      <div className="mx-auto flex max-w-2xl flex-col gap-6">
        <header>
          <h1 className="text-2xl font-semibold tracking-tight">Hilum</h1>
          <p className="text-dim">Medical image archive, version {session.version}</p>
        </header>
        <section className="rounded-lg border border-warning/40 bg-[#241d0c] p-4 leading-relaxed">
          <h2 className="font-semibold text-warning">Not a medical device</h2>
          <p>
            Neither Hilum nor the OHIF viewer in it is cleared or certified for primary diagnosis. OHIF is offered by its
            authors for research and education. Who uses them with patients answers for that.
          </p>
        </section>
        <section>
          <h2 className="mb-2 font-semibold">Sending images here</h2>
          <dl className="grid grid-cols-[10rem_1fr] gap-y-1.5">
            <dt className="text-dim">C-STORE</dt>
            <dd className="font-medium">
              {session.ae_title}@{window.location.hostname}:{session.dicom_port}
            </dd>
            <dt className="text-dim">DICOMweb</dt>
            <dd className="font-medium">{window.location.origin}/dicom-web</dd>
          </dl>
        </section>
        <section>
          <h2 className="mb-2 font-semibold">Signed in as</h2>
          <dl className="grid grid-cols-[10rem_1fr] gap-y-1.5">
            <dt className="text-dim">User</dt>
            <dd>{session.user.name}</dd>
            <dt className="text-dim">Tenant</dt>
            <dd>{session.tenant.name}</dd>
            <dt className="text-dim">Roles</dt>
            <dd>{session.roles.join(", ")}</dd>
          </dl>
        </section>
        <section>
          <h2 className="mb-2 font-semibold">Licences</h2>
          <p>
            Hilum stands under the Apache License 2.0. The work of others in these pages is listed in the{" "}
            <a className="text-accent underline" href="/third-party.txt">
              third-party notices
            </a>
            .
          </p>
        </section>
      </div>
    </div>
  );
}
