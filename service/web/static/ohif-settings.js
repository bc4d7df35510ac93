// What OHIF is told (service/web/ohif.py): studies come from our DICOMweb, and nothing from anywhere else.
window.PUBLIC_URL = "/ohif/";
window.browserImportFunction = (module) => import(module);

const dicomweb = `${window.location.origin}/dicom-web`;

window.config = {
  name: "sonomyo",
  routerBasename: "/ohif",
  extensions: [],
  modes: [],
  customizationService: {},
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
        singlepart: "bulkdata,video,pdf",
        bulkDataURI: { enabled: true },
        omitQuotationForMultipartRequest: true,
      },
    },
  ],
};
