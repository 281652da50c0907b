/** The upload: files in, batches out, at most a few at a time; the pages look at it through `subscribe`. */
import { ApiError, problem } from "../../api/http";
import type { Dataset } from "../../dicom/json";
import { META_BYTES, isDirectory, readFileMeta } from "./part10";
import { type Verdict, readVerdicts, stowBody } from "./stow";

export type FileState = "waiting" | "sending" | "stored" | "refused" | "failed" | "skipped";

export interface UploadFile {
  name: string;
  size: number;
  sent: number;
  state: FileState;
  reason: string;
}

export interface UploadStatus {
  files: readonly UploadFile[];
  counts: Record<FileState, number>;
  sizeBytes: number;
  sentBytes: number;
  isActive: boolean;
  isCollecting: boolean;
}

/** What sends one batch; replaced in tests. */
export type SendBatch = (batch: Blob[], progress: (sent: number) => void, signal: AbortSignal) => Promise<Dataset>;

interface Waiting {
  entry: UploadFile;
  file: File;
  sopInstanceUid: string;
  /** Goes in a request of its own, so that there is no doubt which verdict is its. */
  isAlone: boolean;
}

const PARALLEL_BATCHES = 3;
const BATCH_FILES = 25;
const BATCH_BYTES = 64 * 1024 * 1024;
const ATTEMPTS = 4;
const FIRST_PAUSE_MS = 1_000;
const NOTIFY_MS = 120;

export class UploadQueue {
  private files: UploadFile[] = [];
  private waiting: Waiting[] = [];
  private counts = noCounts();
  private sizeBytes = 0;
  private sentBytes = 0;
  private sending = 0;
  private collecting = 0;
  private abort = new AbortController();
  private listeners = new Set<() => void>();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private status: UploadStatus = this.look();

  constructor(
    private readonly send: SendBatch = sendBatch,
    private readonly pauseMs = FIRST_PAUSE_MS,
  ) {}

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  getStatus = (): UploadStatus => this.status;

  /** Takes files as they are found; sending begins before the last one is. Resolves when all are taken in. */
  async add(files: AsyncIterable<File> | Iterable<File>): Promise<void> {
    const { signal } = this.abort;
    this.collecting += 1;
    try {
      for await (const file of files) {
        if (signal.aborted) break;
        await this.take(file);
        if (this.waiting.length >= BATCH_FILES) this.pump();
      }
    } finally {
      this.collecting -= 1;
      this.pump();
      this.changed();
    }
  }

  /** Stops what is being sent and forgets what waits; what is stored stays stored. */
  cancel(): void {
    this.abort.abort();
    this.abort = new AbortController();
    for (const { entry } of this.waiting) this.settle(entry, "failed", "Cancelled");
    this.waiting = [];
    this.changed();
  }

  /** Empties the list of what is over. */
  clear(): void {
    if (this.look().isActive) return;
    this.files = [];
    this.counts = noCounts();
    this.sizeBytes = this.sentBytes = 0;
    this.changed();
  }

  private async take(file: File): Promise<void> {
    const entry: UploadFile = { name: file.webkitRelativePath || file.name, size: file.size, sent: 0, state: "waiting", reason: "" };
    this.files.push(entry);
    this.counts.waiting += 1;
    this.changed();
    let meta;
    try {
      meta = readFileMeta(await file.slice(0, META_BYTES).arrayBuffer());
    } catch {
      this.settle(entry, "failed", "The browser could not read it");
      return;
    }
    if (!meta) this.settle(entry, "skipped", "Not a DICOM file");
    else if (isDirectory(meta)) this.settle(entry, "skipped", "A DICOMDIR: its images are uploaded, itself is not");
    else {
      this.sizeBytes += file.size;
      this.waiting.push({ entry, file, sopInstanceUid: meta.sopInstanceUid, isAlone: false });
    }
  }

  private pump(): void {
    while (this.sending < PARALLEL_BATCHES && this.waiting.length > 0) {
      const batch = this.nextBatch();
      this.sending += 1;
      void this.sendAll(batch, this.abort.signal).finally(() => {
        this.sending -= 1;
        this.pump();
        this.changed();
      });
    }
  }

  private nextBatch(): Waiting[] {
    let size = 0;
    let count = 0;
    for (const { file, isAlone } of this.waiting) {
      if (count === BATCH_FILES || (count > 0 && (isAlone || size + file.size > BATCH_BYTES))) break;
      size += file.size;
      count += 1;
      if (isAlone) break;
    }
    return this.waiting.splice(0, count);
  }

  private async sendAll(batch: Waiting[], signal: AbortSignal): Promise<void> {
    for (const { entry } of batch) this.move(entry, "sending");
    for (let attempt = 1; ; attempt += 1) {
      try {
        const answer = await this.send(
          batch.map(({ file }) => file),
          (sent) => this.progress(batch, sent),
          signal,
        );
        this.judge(batch, readVerdicts(answer));
        return;
      } catch (error) {
        this.progress(batch, 0);
        const reason = signal.aborted ? "Cancelled" : error instanceof Error ? error.message : String(error);
        const isWorthAnother = error instanceof ApiError && error.isRetryable && attempt < ATTEMPTS && !signal.aborted;
        if (!isWorthAnother) {
          for (const { entry } of batch) this.settle(entry, "failed", reason);
          return;
        }
        await new Promise((resolve) => setTimeout(resolve, this.pauseMs * 2 ** (attempt - 1)));
      }
    }
  }

  /**
   * Gives every file its verdict. The answer names instances by the data set's UID, which in odd files is not the one
   * in front of it: what is left over is sent once more, alone, unless there is no doubt.
   */
  private judge(batch: Waiting[], verdicts: Verdict[]): void {
    const named = new Map(verdicts.filter((each) => each.sopInstanceUid !== "").map((each) => [each.sopInstanceUid, each]));
    const isNamed = ({ sopInstanceUid }: { sopInstanceUid: string }) => named.has(sopInstanceUid);
    const uids = new Set(batch.map(({ sopInstanceUid }) => sopInstanceUid));
    const leftVerdicts = verdicts.filter(({ sopInstanceUid }) => !uids.has(sopInstanceUid) || sopInstanceUid === "");
    for (const { entry, sopInstanceUid } of batch.filter(isNamed)) {
      const verdict = named.get(sopInstanceUid);
      if (verdict) this.settle(entry, verdict.outcome, verdict.reason);
    }
    const leftFiles = batch.filter((each) => !isNamed(each));
    const [first] = leftVerdicts;
    const areAlike = leftVerdicts.every(({ outcome, reason }) => outcome === first?.outcome && reason === first.reason);
    for (const waiting of leftFiles) {
      if (first && areAlike && leftVerdicts.length === leftFiles.length) {
        this.settle(waiting.entry, first.outcome, first.reason);
      } else if (batch.length > 1) {
        this.progress([waiting], 0);
        this.move(waiting.entry, "waiting");
        this.waiting.push({ ...waiting, isAlone: true });
      } else {
        this.settle(waiting.entry, "failed", "The server's answer does not mention it");
      }
    }
  }

  private progress(batch: Waiting[], sent: number): void {
    let left = sent;
    for (const { entry } of batch) {
      const part = Math.min(entry.size, Math.max(0, left));
      this.sentBytes += part - entry.sent;
      entry.sent = part;
      left -= entry.size;
    }
    this.changed();
  }

  private settle(entry: UploadFile, state: FileState, reason: string): void {
    entry.reason = reason;
    if (state === "stored" || state === "refused") {
      this.sentBytes += entry.size - entry.sent;
      entry.sent = entry.size;
    }
    this.move(entry, state);
  }

  private move(entry: UploadFile, state: FileState): void {
    this.counts[entry.state] -= 1;
    this.counts[state] += 1;
    entry.state = state;
    this.changed();
  }

  /** Tells the listeners, but not more often than eyes can follow: thousands of files must not freeze the page. */
  private changed(): void {
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      this.status = this.look();
      for (const listener of this.listeners) listener();
    }, NOTIFY_MS);
  }

  private look(): UploadStatus {
    return {
      files: this.files,
      counts: { ...this.counts },
      sizeBytes: this.sizeBytes,
      sentBytes: this.sentBytes,
      isActive: this.sending > 0 || this.collecting > 0 || this.waiting.length > 0,
      isCollecting: this.collecting > 0,
    };
  }
}

function noCounts(): Record<FileState, number> {
  return { waiting: 0, sending: 0, stored: 0, refused: 0, failed: 0, skipped: 0 };
}

/** Sends by XMLHttpRequest, for fetch does not tell how far a body has got. */
function sendBatch(batch: Blob[], progress: (sent: number) => void, signal: AbortSignal): Promise<Dataset> {
  const { body, contentType } = stowBody(batch, `hilum-${crypto.getRandomValues(new Uint32Array(4)).join("-")}`);
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const stop = () => request.abort();
    signal.addEventListener("abort", stop, { once: true });
    request.open("POST", "/dicom-web/studies");
    request.setRequestHeader("Content-Type", contentType);
    request.setRequestHeader("Accept", "application/dicom+json");
    request.upload.onprogress = (event) => progress(event.loaded);
    request.onerror = () => reject(new ApiError(0, "The connection broke"));
    request.onabort = () => reject(new DOMException("cancelled", "AbortError"));
    request.onloadend = () => signal.removeEventListener("abort", stop);
    request.onload = () => {
      const answer = storeAnswer(request);
      if (answer) resolve(answer);
      else reject(problem(request.status, request.responseText));
    };
    request.send(body);
  });
}

/** 202 and 409 tell of each instance like 200 does; anything else is about the request as a whole. */
function storeAnswer(request: XMLHttpRequest): Dataset | undefined {
  const isDicom = (request.getResponseHeader("Content-Type") ?? "").startsWith("application/dicom+json");
  if (![200, 202, 409].includes(request.status) || !isDicom) return undefined;
  const answer: unknown = JSON.parse(request.responseText);
  return (Array.isArray(answer) ? answer[0] : answer) as Dataset;
}
