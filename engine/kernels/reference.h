// Every kernel again in plain loops and doubles: what the fast ones are tested against, and the place to read what they
// compute. Same arguments, same shapes. Plain functions, thread-safe.
#pragma once

#include "engine/kernels/attention.h"
#include "engine/kernels/cell.h"
#include "engine/kernels/copy.h"
#include "engine/kernels/elementwise.h"
#include "engine/kernels/gather.h"
#include "engine/kernels/output.h"
#include "engine/kernels/quantise.h"
#include "engine/kernels/self_attention.h"

namespace heed::reference {

// y [rows, n] = x [rows, k] W^T, W [n, k] unpacked.
void Gemm(int rows, int n, int k, const float* x, const float* w, float* y);

void QuantiseRows(int rows, int k, const float* x, int levels, const QuantisedRows& to);
void QuantiseRowsBy(float scale, int most, int rows, int k, const float* x, const QuantisedRows& to);
void DequantiseRows(Activation f, int rows, int n, int stride, const SumScales& scales, const float* bias, float* y);
float RoundedToBfloat16(float x);

double Activate(Activation f, double x);
void BiasActivateRows(Activation f, int rows, int n, const float* bias, float* y);
void AddTo(int count, const float* x, float* y);
void MulTo(int count, const float* x, float* y);
void Lerp(int count, const float* gate, const float* a, const float* b, float* y);
void LayerNormRows(int rows, int n, const float* x, const float* scale, const float* bias, float epsilon, float* y);
void MaxoutRows(int rows, int n, int group, const float* x, float* y);
void MeanOfRows(int rows, int n, const float* x, float* y);

void LstmRows(CellFunctions functions, int rows, int n, const float* gates, Addend addend, const float* c_in,
              const CellNorm& norm, float* c, float* h);
void GruRows(CellFunctions functions, int rows, int n, const float* x, Addend addend, const float* s,
             const float* state_bias, const float* h_in, float* h);
void GruGateRows(Activation gate, int rows, int n, const float* x, Addend addend, const float* s,
                 const float* state_bias, const float* h_in, float* z, float* reset_h);
void GruUpdateRows(Activation function, int rows, int n, const float* x, Addend addend, const float* s_n,
                   const float* state_bias_n, const float* z, const float* h_in, float* h);
void RnnRows(Activation function, int rows, int n, const float* product, Addend addend, float* h);
void SsruRows(CellFunctions functions, int rows, int n, const float* product, Addend addend, const float* c_in,
              float* c, float* h);
void CellNormRows(int rows, std::span<const int> groups, Addend addend, const float* scale, const float* bias,
                  float epsilon, float* y);

void AttendHead(const HeadAttention& head);  // scratch is not used
void DotEnergies(const float* q, const MemoryRows& keys, int positions, int size, float scale, float* e);
void AdditiveEnergies(const float* q, const MemoryRows& keys, const float* v, float v_bias, int positions, int size,
                      float* e);
void CoverageEnergies(const float* q, const MemoryRows& keys, const float* v, float v_bias, const float* coverage,
                      const float* coverage_weight, int positions, int size, float* e);
void Softmax(const float* e, int n, float* w);
void Sparsemax(const float* e, int n, float* w);
void WeightedSum(const float* w, const MemoryRows& values, int positions, int size, float* out);

float BiasLogSumExp(const float* bias, int n, float* x);
int TopK(const float* x, int n, int k, ScoredToken* best);
void MixCopies(const Copies& copies, float generate, float copy, int vocabulary, int own, float* x);
void ScanColumns(const float* bias, int first, int n, int k, float* x, RowScan* scan, ScoredToken* best);
void GatherProduct(GatheredRow* rows, int count, const GatheredMatrix& w);

}  // namespace heed::reference
