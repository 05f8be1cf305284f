"""The Kubernetes API as the operator sees it: plain JSON objects behind one small port."""
