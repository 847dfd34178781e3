"""The block model and its population: types of rows, exact rounds, phases, distance of features."""

from gramlab.population.block_model import BlockEigenvalue, ClassBlockModel, Population
from gramlab.population.types import TypePredictions

__all__ = ["BlockEigenvalue", "ClassBlockModel", "Population", "TypePredictions"]
