"""pytest plug-in of the conformance kit."""
