"""FHIRPath Patch (R4 fhirpatch.html): changes of a resource, told as Parameters, by paths.

apply_fhirpath_patch(resource, parameters)  # a changed copy
"""

from .applying import apply_fhirpath_patch

__all__ = ["apply_fhirpath_patch"]
