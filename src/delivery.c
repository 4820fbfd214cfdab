/*
 * delivery.c
 *		Deliveries from the arguments of the functions that take them.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "compat.h"
#include "core/timestamp.h"
#include "ingest.h"

#define ARRAYS 6

static char *
text_or_null(Datum value, bool isnull)
{
	return isnull ? NULL : TextDatumGetCString(value);
}

/* Unix seconds as they were signed; what is not digits was not a time that anybody signed */
static TimestampTz
signed_time(const char *text)
{
	int64		micros;

	if (text == NULL || !om_unix_seconds_parse(text, strlen(text), &micros))
		return 0;
	if (micros > INT64CONST(253402300799) * USECS_PER_SEC)
		return 0;				/* after the year 9999 */
	return micros - (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;
}

/* optional: signature, signed_at, key_id */
static void
fill(OmDelivery *delivery, int ordinal, Datum provider, Datum body, Datum *optional, bool *isnull)
{
	bytea	   *bytes = DatumGetByteaPP(body);

	memset(delivery, 0, sizeof(*delivery));
	delivery->ordinal = ordinal;
	delivery->provider = TextDatumGetCString(provider);
	delivery->body = VARDATA_ANY(bytes);
	delivery->length = VARSIZE_ANY_EXHDR(bytes);
	delivery->signature = text_or_null(optional[0], isnull[0]);
	delivery->signed_at = signed_time(text_or_null(optional[1], isnull[1]));
	delivery->key_id = text_or_null(optional[2], isnull[2]);
}

void
om_delivery_argument(FunctionCallInfo fcinfo, OmDelivery *delivery)
{
	Datum		optional[3];
	bool		isnull[3];

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("provider and body must not be NULL")));
	/* The sixth, the provider's name for the delivery, is for providers whose bodies lack an id */
	for (int i = 0; i < 3; i++)
	{
		optional[i] = PG_GETARG_DATUM(i + 2);
		isnull[i] = PG_ARGISNULL(i + 2);
	}
	fill(delivery, 1, PG_GETARG_DATUM(0), PG_GETARG_DATUM(1), optional, isnull);
}

int
om_delivery_arrays(FunctionCallInfo fcinfo, const char *sixth_name, OmDelivery **deliveries,
				   char ***sixth)
{
	const char *names[ARRAYS] = {"providers", "bodies", "signatures", "signed_at", "key_ids", sixth_name};
	Datum	   *values[ARRAYS] = {NULL};
	bool	   *nulls[ARRAYS] = {NULL};
	int			count = 0;

	for (int i = 0; i < ARRAYS; i++)
	{
		ArrayType  *array;
		int			n;

		if (PG_ARGISNULL(i))
		{
			if (i < 2)
				ereport(ERROR,
						(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						 errmsg("%s must not be NULL", names[i])));
			continue;
		}
		array = PG_GETARG_ARRAYTYPE_P(i);
		if (ARR_NDIM(array) > 1)
			ereport(ERROR,
					(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
					 errmsg("%s must be an array of one dimension", names[i])));
		deconstruct_array(array, i == 1 ? BYTEAOID : TEXTOID, -1, false, TYPALIGN_INT,
						  &values[i], &nulls[i], &n);
		if (i > 0 && n != count)
			ereport(ERROR,
					(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
					 errmsg("%s must have as many elements as providers", names[i]),
					 errdetail("It has %d, and providers has %d.", n, count)));
		count = n;
	}

	*deliveries = palloc0(sizeof(OmDelivery) * Max(count, 1));
	if (sixth != NULL)
		*sixth = palloc0(sizeof(char *) * Max(count, 1));
	for (int d = 0; d < count; d++)
	{
		Datum		optional[ARRAYS - 2];
		bool		isnull[ARRAYS - 2];

		if (nulls[0][d] || nulls[1][d])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("providers and bodies must not have NULL elements"),
					 errdetail("Element %d is NULL.", d + 1)));
		for (int i = 0; i < ARRAYS - 2; i++)
		{
			isnull[i] = values[i + 2] == NULL || nulls[i + 2][d];
			optional[i] = isnull[i] ? (Datum) 0 : values[i + 2][d];
		}
		fill(&(*deliveries)[d], d + 1, values[0][d], values[1][d], optional, isnull);
		if (sixth != NULL)
			(*sixth)[d] = text_or_null(optional[ARRAYS - 3], isnull[ARRAYS - 3]);
	}
	return count;
}
