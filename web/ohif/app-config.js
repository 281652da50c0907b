// Settings of the OHIF viewer inside Hilum.
window.config = {
  name: "hilum",
  routerBasename: "/ohif",
  extensions: [],
  modes: [],
  showStudyList: false,
  showWarningMessageForCrossOrigin: false,
  showCPUFallbackMessage: true,
  showLoadingIndicator: true,
  experimentalStudyBrowserSort: false,
  strictZSpacingForVolumeViewport: true,
  groupEnabledModesFirst: true,
  allowMultiSelectExport: false,
  maxNumberOfWebWorkers: 3,
  maxNumRequests: { interaction: 100, thumbnail: 5, prefetch: 25 },
  showErrorDetails: "production",
  investigationalUseDialog: { option: "never" },
  customizationService: [{ "ohif.tours": { $set: [] } }],
  defaultDataSourceName: "hilum",
  dataSources: [
    {
      namespace: "@ohif/extension-default.dataSourcesModule.dicomweb",
      sourceName: "hilum",
      configuration: {
        friendlyName: "Hilum",
        name: "hilum",
        qidoRoot: "/dicom-web",
        wadoRoot: "/dicom-web",
        wadoUriRoot: "/dicom-web",
        qidoSupportsIncludeField: true,
        supportsFuzzyMatching: true,
        supportsWildcard: true,
        supportsReject: false,
        imageRendering: "wadors",
        thumbnailRendering: "wadors",
        enableStudyLazyLoad: true,
        singlepart: "bulkdata,video",
        omitQuotationForMultipartRequest: true,
        bulkDataURI: { enabled: true, relativeResolution: "studies" },
      },
    },
  ],
  httpErrorHandler: (error) => {
    if (error.status === 401) {
      const back = window.location.pathname + window.location.search;
      window.location.assign("/login?next=" + encodeURIComponent(back));
    }
  },
  whiteLabeling: {
    createLogoComponentFn: (React) =>
      React.createElement(
        "a",
        {
          href: "/",
          title: "Back to the study list",
          style: { color: "#e8edf2", fontWeight: 600, fontSize: "15px", padding: "0 8px", textDecoration: "none" },
        },
        "\u2039 Hilum",
      ),
  },
};
