import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { BrowserRouter, Outlet, Route, Routes } from "react-router";
import { ApiError } from "./api/http";
import { AboutPage } from "./features/about/AboutPage";
import { NetworkPage } from "./features/network/NetworkPage";
import { RemotePage } from "./features/remote/RemotePage";
import { ForwardingPage } from "./features/forwarding/ForwardingPage";
import { WorklistPage } from "./features/worklist/WorklistPage";
import { JobsPage } from "./features/jobs/JobsPage";
import { LoginPage } from "./features/session/LoginPage";
import { SignedIn } from "./features/session/session";
import { StudyListPage } from "./features/studies/StudyListPage";
import { StudyPage } from "./features/study/StudyPage";
import { UploadProvider } from "./features/upload/UploadProvider";
import { NoticesProvider } from "./ui/notices";
import { Shell } from "./ui/Shell";
import "./index.css";

const queries = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 2_000,
      retry: (failures, error) => error instanceof ApiError && error.isRetryable && failures < 2,
    },
  },
});

function Inside() {
  return (
    <SignedIn>
      <NoticesProvider>
        <UploadProvider>
          <Shell>
            <Outlet />
          </Shell>
        </UploadProvider>
      </NoticesProvider>
    </SignedIn>
  );
}

const root = document.getElementById("root");
if (!root) throw new Error("index.html has no #root");
createRoot(root).render(
  <StrictMode>
    <QueryClientProvider client={queries}>
      <BrowserRouter>
        <Routes>
          <Route path="/login" element={<LoginPage />} />
          <Route element={<Inside />}>
            <Route path="/" element={<StudyListPage />} />
            <Route path="/studies/:studyUid" element={<StudyPage />} />
            <Route path="/network" element={<NetworkPage />} />
            <Route path="/remote" element={<RemotePage />} />
            <Route path="/forwarding/:tab?" element={<ForwardingPage />} />
            <Route path="/worklist" element={<WorklistPage />} />
            <Route path="/jobs/:tab?" element={<JobsPage />} />
            <Route path="/about" element={<AboutPage />} />
          </Route>
        </Routes>
      </BrowserRouter>
    </QueryClientProvider>
  </StrictMode>,
);
