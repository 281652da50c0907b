import { FileQuestion } from "lucide-react";
import { useParams } from "react-router";
import { EmptyState, useTitle } from "../../ui/states";
import { Destinations } from "./Destinations";
import { ForwardedStudies } from "./ForwardedStudies";
import { PrefetchRules } from "./PrefetchRules";
import { Rules } from "./Rules";

/** Studies that go on by themselves, and earlier ones that come. */
export function ForwardingPage() {
  useTitle("Forwarding");
  const { tab = "destinations" } = useParams();
  switch (tab) {
    case "destinations":
      return <Destinations />;
    case "studies":
      return <ForwardedStudies />;
    case "rules":
      return <Rules />;
    case "prefetch":
      return <PrefetchRules />;
    default:
      return <EmptyState icon={<FileQuestion className="size-6" aria-hidden />} title="There is no such page" />;
  }
}
