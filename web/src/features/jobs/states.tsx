/** How jobs stand, in words. */
import type { Schemas } from "../../api/console";
import { State, type Tone } from "../../ui/page";

export type JobState = Schemas["JobState"];

export const JOB_STATES: Record<JobState, { title: string; tone: Tone }> = {
  queued: { title: "waiting", tone: "calm" },
  running: { title: "running", tone: "busy" },
  held: { title: "held", tone: "warning" },
  done: { title: "done", tone: "good" },
  failed: { title: "failed", tone: "bad" },
  cancelled: { title: "cancelled", tone: "calm" },
};

export function JobStateCell({ state }: { state: JobState }) {
  return <State tone={JOB_STATES[state].tone}>{JOB_STATES[state].title}</State>;
}

/** Whether there is something left to end. */
export function hasEnded(state: JobState): boolean {
  return state === "done" || state === "failed" || state === "cancelled";
}
