"""What the studies of an evaluation are: as programs tell them apart, and as readers are told."""

SIMULATED, GRAFTED, PATIENTS = "simulated", "grafted", "patients"
KINDS = {
    SIMULATED: "simulated CT",
    GRAFTED: "simulated fractures grafted into given CT",
    PATIENTS: "patients' CT in the layout of RSNA 2022",
}
