import { useQueryClient } from "@tanstack/react-query";
import { Info, LogOut, Upload } from "lucide-react";
import { type ReactNode, useState } from "react";
import { Link, NavLink } from "react-router";
import { ApiError } from "../api/http";
import { type Session, signOut } from "../api/session";
import { useSession } from "../features/session/session";
import { useUpload } from "../features/upload/UploadProvider";

/** The pages, for who may see something there. */
const PAGES: { path: string; title: string; needs: Session["permissions"][number] }[] = [
  { path: "/", title: "Studies", needs: "read" },
  { path: "/remote", title: "Remote archives", needs: "store" },
  { path: "/worklist", title: "Worklist", needs: "read" },
  { path: "/forwarding", title: "Forwarding", needs: "read" },
  { path: "/jobs", title: "Jobs", needs: "administer" },
  { path: "/network", title: "Network", needs: "read" },
];

export function Shell({ children }: { children: ReactNode }) {
  return (
    <div className="flex h-full flex-col">
      <Header />
      <main className="flex min-h-0 flex-1 flex-col">{children}</main>
    </div>
  );
}

function Header() {
  const session = useSession();
  const queries = useQueryClient();
  const { openPicker } = useUpload();
  const [hasFailed, setFailed] = useState(false);
  const leave = async () => {
    try {
      await signOut();
    } catch (error) {
      // A session that has ended needs no signing out; any other failure means that one is still signed in.
      if (!(error instanceof ApiError && error.isSignedOut)) {
        setFailed(true);
        return;
      }
    }
    queries.clear();
    window.location.assign("/login");
  };
  return (
    <header className="flex h-12 flex-none items-center gap-4 border-b border-line bg-panel px-4">
      <Link to="/" className="flex items-center gap-2 rounded text-[15px] font-semibold tracking-tight">
        <img src="/favicon.svg" alt="" className="size-6" />
        Hilum
      </Link>
      <nav aria-label="Main" className="flex items-center gap-1">
        {PAGES.filter(({ needs }) => session.permissions.includes(needs)).map(({ path, title }) => (
          <NavLink
            key={path}
            to={path}
            end={path === "/"}
            className="rounded-md px-2.5 py-1.5 font-medium text-dim hover:text-ink aria-[current=page]:bg-raised aria-[current=page]:text-ink"
          >
            {title}
          </NavLink>
        ))}
      </nav>
      <div className="flex-1" />
      <p role="alert" className="text-danger">
        {hasFailed && "Signing out failed; you are still signed in."}
      </p>
      <button type="button" className="button" onClick={openPicker}>
        <Upload className="size-4" aria-hidden />
        Upload
      </button>
      <div className="flex flex-col items-end leading-tight">
        <span className="font-medium">{session.user.name}</span>
        <span className="text-[0.85em] text-faint">{session.tenant.name}</span>
      </div>
      <div className="flex items-center">
        <Link to="/about" className="button button-quiet px-2!" aria-label="About Hilum" title="About Hilum">
          <Info className="size-4" aria-hidden />
        </Link>
        <button type="button" className="button button-quiet px-2!" aria-label="Sign out" title="Sign out" onClick={leave}>
          <LogOut className="size-4" aria-hidden />
        </button>
      </div>
    </header>
  );
}
