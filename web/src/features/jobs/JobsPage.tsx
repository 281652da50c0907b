import { FileQuestion } from "lucide-react";
import { useParams } from "react-router";
import { EmptyState, useTitle } from "../../ui/states";
import { Commitments } from "./Commitments";
import { Jobs } from "./Jobs";

/** The work that outlives requests, and what other systems answer for. */
export function JobsPage() {
  useTitle("Jobs");
  const { tab = "jobs" } = useParams();
  switch (tab) {
    case "jobs":
      return <Jobs />;
    case "commitments":
      return <Commitments />;
    default:
      return <EmptyState icon={<FileQuestion className="size-6" aria-hidden />} title="There is no such page" />;
  }
}
