//! Models that classify images (`torchvision.models`), a file a family.
