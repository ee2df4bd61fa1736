#include "engine/kernels/gather.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/gather.cc"
#include "hwy/foreach_target.h"
// After foreach_target, which decides for what each inclusion compiles.
#include "engine/kernels/rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed {
namespace HWY_NAMESPACE {

constexpr std::size_t kStretchBytes = std::size_t{512} << 10;

HWY_INLINE float Sum(V v) { return hn::GetLane(hn::SumOfLanes(D(), v)); }

template <typename Make>
HWY_INLINE void Stretch(const GatheredRow& row, std::size_t k, int first, int last, const Make& make) {
  int i = first;
  for (; i + 4 <= last; i += 4) {
    const TokenId* ids = row.ids + i;
    V sums[4];
    FourProducts(row.x, k, make(ids[0]), make(ids[1]), make(ids[2]), make(ids[3]), sums);
    for (int j = 0; j < 4; ++j) row.y[i + j] = Sum(sums[j]);
  }
  for (; i < last; ++i) row.y[i] = Sum(OneProduct(row.x, k, make(row.ids[i])));
}

// Sum of u8 times s8: products of two and two in 32 bits, exact.
HWY_INLINE std::int32_t IntegerDot(const std::uint8_t* HWY_RESTRICT q, const std::int8_t* HWY_RESTRICT w,
                                   std::size_t k) {
  std::int32_t sum = 0;
  std::size_t i = 0;
#if HWY_TARGET != HWY_SCALAR
  using I32 = hn::RebindToSigned<D>;
  using I16 = hn::RepartitionToNarrow<I32>;
  const I16 d16;
  const I32 d32;
  const hn::Rebind<std::uint8_t, I16> unsigned_bytes;
  const hn::Rebind<std::int8_t, I16> signed_bytes;
  const std::size_t step = hn::Lanes(d16);
  auto low = hn::Zero(d32), high = low;
  for (; i + step <= k; i += step) {
    const auto a = hn::PromoteTo(d16, hn::LoadU(unsigned_bytes, q + i));
    const auto b = hn::PromoteTo(d16, hn::LoadU(signed_bytes, w + i));
    low = hn::ReorderWidenMulAccumulate(d32, a, b, low, high);
  }
  sum = hn::GetLane(hn::SumOfLanes(d32, hn::Add(low, high)));
#endif
  for (; i < k; ++i) sum += static_cast<std::int32_t>(q[i]) * w[i];
  return sum;
}

void IntegerStretch(const GatheredRow& row, const RowTable& w, int first, int last) {
  for (int i = first; i < last; ++i) {
    const TokenId id = row.ids[i];
    const std::int32_t sum = IntegerDot(row.q, w.AsInt8(id), w.k()) - row.zero * w.sums()[id];
    row.y[i] = static_cast<float>(sum) * (row.scale * w.scales()[id]);
  }
}

void GatherProduct(GatheredRow* rows, int count, const GatheredMatrix& w) {
  const RowTable& table = *w.w;
  const std::size_t row_bytes = NumberBytes(table.precision()) * table.k();
  const int stretch = static_cast<int>(std::max<std::size_t>(1, kStretchBytes / row_bytes));
  for (int begin = 0; begin < table.n(); begin += stretch) {
    const int end = std::min(table.n(), begin + stretch);
    for (GatheredRow* row = rows; row < rows + count; ++row) {
      const int first = row->done;
      const int last = static_cast<int>(std::lower_bound(row->ids + first, row->ids + row->count, end) - row->ids);
      switch (table.precision()) {
        case Precision::kFloat32:
          Stretch(*row, table.k(), first, last, [&](TokenId id) HWY_ATTR { return FloatRow{table.AsFloats(id)}; });
          break;
        case Precision::kBfloat16:
          Stretch(*row, table.k(), first, last, [&](TokenId id) HWY_ATTR { return Bfloat16Row{table.AsBfloat16(id)}; });
          break;
        case Precision::kInt8:
          IntegerStretch(*row, table, first, last);
          break;
      }
      row->done = last;
    }
  }
  if (w.bias == nullptr) return;
  for (const GatheredRow* row = rows; row < rows + count; ++row) {
    for (int i = 0; i < row->count; ++i) row->y[i] += w.bias[row->ids[i]];
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace heed
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace heed {

HWY_EXPORT(GatherProduct);

void GatherProduct(GatheredRow* rows, int count, const GatheredMatrix& w) {
  HWY_DYNAMIC_DISPATCH(GatherProduct)(rows, count, w);
}

}  // namespace heed
#endif
