// What OHIF is told (service/web/ohif.py): studies come from our DICOMweb, and nothing from anywhere else.
window.PUBLIC_URL = "/ohif/";
window.browserImportFunction = (module) => import(module);

const dicomweb = `${window.location.origin}/dicom-web`;

// In the place of OHIF's own mark: whose it is here, the way back, and what it is not for.
const brand = (React) =>
  React.createElement(
    "a",
    { href: "/", style: { color: "inherit", display: "block", lineHeight: 1.25, textDecoration: "none" } },
    React.createElement("strong", null, "Sonomyo"),
    React.createElement("span", { style: { display: "block", fontSize: "12px" } }, "Research use only, not for diagnosis"),
  );

window.config = {
  name: "sonomyo",
  routerBasename: "/ohif",
  extensions: [],
  modes: [],
  // No tour at the first look, and no question before masks or measurements that were asked for are shown.
  customizationService: [{ "ohif.tours": { $set: [] } }],
  disableConfirmationPrompts: true,
  whiteLabeling: { createLogoComponentFn: brand },
  showStudyList: true,
  maxNumberOfWebWorkers: 3,
  showWarningMessageForCrossOrigin: true,
  showCPUFallbackMessage: false,
  showLoadingIndicator: true,
  strictZSpacingForVolumeViewport: true,
  investigationalUseDialog: { option: "never" },
  maxNumRequests: { interaction: 100, thumbnail: 5, prefetch: 25 },
  showErrorDetails: "production",
  defaultDataSourceName: "sonomyo",
  dataSources: [
    {
      namespace: "@ohif/extension-default.dataSourcesModule.dicomweb",
      sourceName: "sonomyo",
      configuration: {
        friendlyName: "Sonomyo",
        name: "sonomyo",
        qidoRoot: dicomweb,
        wadoRoot: dicomweb,
        wadoUriRoot: dicomweb,
        qidoSupportsIncludeField: true,
        supportsFuzzyMatching: false,
        supportsWildcard: true,
        supportsReject: false,
        dicomUploadEnabled: false,
        imageRendering: "wadors",
        thumbnailRendering: "rendered",
        enableStudyLazyLoad: true,
        singlepart: "bulkdata,video",
        bulkDataURI: { enabled: true },
        omitQuotationForMultipartRequest: true,
      },
    },
  ],
};
