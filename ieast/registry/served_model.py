"""Run by MLflow when it loads a registered model ("models from code"), so that nothing is unpickled."""

import mlflow

from ieast.registry.pyfunc import StylizerModel

mlflow.models.set_model(StylizerModel())
