from neckfrac_lab.evaluation.fractures.cases import simulated_study


def test_the_intact_scan_of_a_simulated_person_differs_about_the_fractures_alone(toy_neck):
    broken, intact = (simulated_study(0, 0, toy_neck, (40, 60, 60), (3.0, 2.0, 2.0), intact=i) for i in (False, True))
    assert broken.truth["scanner"] == intact.truth["scanner"] and broken.truth["pose"] == intact.truth["pose"]
    assert broken.truth["fractures"] and not intact.truth["fractures"] and not intact.fracture.any()
    changed = broken.volume.voxels != intact.volume.voxels
    assert 0 < changed.mean() < 0.5
