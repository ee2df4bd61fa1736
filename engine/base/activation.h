// Element-wise functions that programs name.
#pragma once

namespace heed {

enum class Activation {
  kIdentity,
  kTanh,
  kSigmoid,
  kRelu,
  kHardSigmoid,       // clip(x / 5 + 0.5, 0, 1), Keras 1 and 2
  kHardSigmoidSixth,  // clip(x / 6 + 0.5, 0, 1), PyTorch and Keras 3
};

}  // namespace heed
