// What unary replies and streams say of a token, a segment's source and a model.
//
// Plain functions, thread-safe.
#pragma once

#include <string>
#include <vector>

#include "engine/run/job.h"
#include "heed/v1/text.pb.h"
#include "server/admission/admission.h"
#include "server/reply/typed.h"

namespace heed {

// Token number `t` of a hypothesis: piece, id, log-probability and where it came from; not its range.
v1::Token MakeToken(const ServedModel& model, const DecodedHypothesis& decoded, std::size_t t);

// The segment's tokens as somebody typed them, where admission kept what that takes. They point into `text` and
// `segment`.
std::vector<TypedToken> TypedSource(const std::string& text, const AdmittedSegment& segment);

v1::ModelIdentity IdentityOf(const ServedModel& model);

}  // namespace heed
